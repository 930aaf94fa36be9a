import { setImmediate as nextTurn } from 'node:timers/promises'
import { header } from '../../../schemas/envelope.ts'
import type { Batch, EventLog, LogRecord, Partition } from './port.ts'

/** So many are delivered before others have a turn of the event loop: some ten milliseconds of folding. */
const perTurn = 500

/** Of a partition the records from `from` on, up to before `end`. */
export type Span = Partition & { readonly from: number; readonly end: number }

/**
 * What was written in several partitions while nobody read, in the order of the events' time: as it would have been heard,
 * more or less, by somebody who was there. A partition after the other, the failures of an hour would stand in a row that
 * never were one. Resolves when all spans are delivered, or after the delivery in which the signal falls.
 */
export async function readInOrder(
  log: EventLog,
  spans: readonly Span[],
  deliver: (batch: Batch) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const lanes = spans.filter(({ from, end }) => from < end).map(span => openLane(log, span))
  const fallen = new Promise<null>(resolve => signal.addEventListener('abort', () => resolve(null), { once: true }))
  let delivered = 0
  try {
    while (!signal.aborted) {
      const all = await Promise.race([Promise.all(lanes.map(lane => lane.head())), fallen])
      const heads = all?.filter(head => head !== null).sort((a, b) => timeOf(a) - timeOf(b)) ?? []
      const [first, second] = heads
      if (first === undefined) return
      const until = second === undefined ? Number.POSITIVE_INFINITY : timeOf(second)
      const records = [first.records[first.at] as LogRecord] // a head has one
      while (first.at + records.length < first.records.length) {
        const next = first.records[first.at + records.length]
        if (next === undefined || timeIn(next) > until) break
        records.push(next)
      }
      await deliver({ ...first.batch, records })
      first.at += records.length
      if (first.at === first.records.length) first.taken()
      delivered += records.length
      if (delivered < perTurn) continue
      delivered = 0
      await nextTurn()
    }
  } finally {
    await Promise.all(lanes.map(lane => lane.close()))
  }
}

/** The batch of a lane whose turn it is or will be; the lane reads no further until it is taken. */
type Head = { readonly batch: Batch; readonly records: readonly LogRecord[]; at: number; readonly taken: () => void }

type Lane = {
  /** Null: it has come to its end. */
  readonly head: () => Promise<Head | null>
  readonly close: () => Promise<void>
}

/** By itself, so that it can wait for the others. */
function openLane(log: EventLog, { topic, partition, from, end }: Span): Lane {
  let head = Promise.withResolvers<Head | null>()
  let taken = (): void => {}
  let isClosed = false
  const follower = log.follow(topic, {
    from: [{ topic, partition, offset: from }],
    partitions: [partition],
    onBatch(batch) {
      const records = batch.records.filter(({ offset }) => offset < end)
      if (isClosed || records.length === 0) return
      return new Promise(resolve => {
        taken = () => {
          head = Promise.withResolvers()
          resolve()
        }
        head.resolve({ batch, records, at: 0, taken })
      })
    },
  })
  // Not the last record tells: it may be one that no reader is shown.
  follower.caughtUp
    .then(() => head.resolve(null))
    .then(() => follower.close())
    .catch(error => head.reject(error))
  follower.ended.catch(() => {}) // told by `caughtUp`, or of no interest any more
  return {
    head: () => head.promise,
    close() {
      isClosed = true
      taken()
      head.promise.catch(() => {}) // nobody asks any more
      return follower.close()
    },
  }
}

const timeOf = ({ records, at }: Head): number => timeIn(records[at])
/** What has no time is of the beginning: it holds nothing up. */
const timeIn = (record: LogRecord | undefined): number => Date.parse(record?.headers[header.time] ?? '') || 0
