import { setTimeout as sleep } from 'node:timers/promises'
import { header } from '../../../schemas/envelope.ts'
import { type Chain, chainOf, link, markOf } from './chain.ts'
import { type Milestones, openMilestones } from './milestones.ts'
import type { Batch, EventLog, LogRecord, Partition } from './port.ts'
import { Target, type Teller } from './target.ts'

/** For whom the spool keeps its records: name it in `waitFor` where the spool is opened. */
export const forwarderGroup = 'forwarder'

export type Forwarder = {
  /** What is on the spool and not at the target, some 250 ms ago; the age is that of the oldest. */
  readonly backlog: () => { readonly records: number; readonly ageMs: number }
  /** Resolves with true once the target has all of the spool before `offset`, with false after `ms`. */
  readonly shipped: Milestones['reached']
  /** Resolves after `close`; rejects when the spool cannot be read. */
  readonly ended: Promise<void>
  /** Waits a moment for what is under way, and leaves the rest for the next start. */
  readonly close: () => Promise<void>
}

/** How often the mark is put on disk: as much is sent again after a crash, and dropped by its ids. */
const markMs = 250
/** What `close` grants the batch under way, so that an orderly restart sends nothing twice. */
const closeMs = 2_000

/**
 * Ships one partition of a local log, the spool, to a topic of another log: in the order of the spool, one batch under
 * way, for ever. While the target is away the spool grows to its own bound; nothing is dropped and no request waits.
 *
 * After a crash some records are sent again; whoever reads the target drops them by id. Run it in the process that
 * writes the partition: that one's lock is what keeps a second forwarder away.
 */
export function forward(options: {
  readonly from: EventLog
  readonly at: Partition
  readonly to: EventLog
  readonly topic: string
  readonly log: Teller
}): Forwarder {
  const { from, to, log } = options
  const at: Partition = { topic: options.at.topic, partition: options.at.partition }
  const closing = new AbortController()
  const abandoned = new AbortController()
  const target = new Target(to, options.topic, abandoned.signal, log)
  let chain: Chain | null = null
  let shipped = 0
  const milestones = openMilestones()
  let marked = -1
  let end = 0
  /** When the oldest record that is not shipped was written; a little before that, as long as it was not read. */
  let oldest = 0

  const grown = (to: number): void => {
    if (end <= shipped) oldest = Date.now()
    end = Math.max(end, to)
  }

  const ship = async (batch: Batch): Promise<void> => {
    if (closing.signal.aborted) return
    grown(batch.end)
    oldest = timeOf(batch.records[0]!, oldest)
    const partitions = await target.partitions()
    if (partitions === null) return
    let linked = chain
    const messages = batch.records.map(record => {
      const one = link(linked, record, partitions, record.offset === 0)
      linked = one.chain
      return one.message
    })
    if (!(await target.send(messages))) return
    chain = linked
    const last = batch.records.at(-1)!
    shipped = last.offset + 1
    oldest = timeOf(last, oldest)
    milestones.reach(shipped)
  }

  const putMark = async (): Promise<void> => {
    if (shipped === marked) return
    const offset = shipped
    try {
      await from.commit(forwarderGroup, at, markOf(offset, chain))
      marked = offset
    } catch (error) {
      // Shipping goes on: it is what will make room on a full disk. More is sent again after a crash, that is all.
      log.warn({ spool: at, err: error }, 'the mark of the forwarder could not be written')
    }
  }

  const keepMarks = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await sleep(markMs, undefined, { signal: closing.signal }).catch(() => {})
      await putMark()
      grown((await from.bounds(at)).end)
    }
  }

  const run = async (): Promise<void> => {
    const mark = await from.committed(forwarderGroup, at)
    const bounds = await from.bounds(at)
    chain = chainOf(mark?.note)
    shipped = mark?.offset ?? bounds.earliest
    milestones.reach(shipped)
    grown(bounds.end)
    if (mark === null) await putMark() // from now on the spool knows for whom it keeps its records
    marked = shipped
    if (closing.signal.aborted) return
    const follower = from.follow(at.topic, {
      from: [{ ...at, offset: shipped }],
      partitions: [at.partition],
      onBatch: ship,
    })
    const stopped = new Promise<void>(resolve => closing.signal.addEventListener('abort', () => resolve()))
    try {
      await Promise.race([follower.ended, keepMarks(), stopped])
    } finally {
      closing.abort()
      const grace = setTimeout(() => abandoned.abort(), closeMs)
      await follower.close()
      clearTimeout(grace)
      await putMark()
    }
  }

  const ended = run().finally(() => {
    closing.abort()
    abandoned.abort()
    milestones.end()
    return target.close()
  })
  return {
    ended,
    shipped: milestones.reached,
    backlog: () => ({
      records: Math.max(0, end - shipped),
      ageMs: end <= shipped ? 0 : Math.max(0, Date.now() - oldest),
    }),
    close: async () => {
      closing.abort()
      await ended.catch(() => {}) // told by `ended` itself
    },
  }
}

function timeOf({ headers }: LogRecord, otherwise: number): number {
  const time = Date.parse(headers[header.time] ?? '')
  return Number.isNaN(time) ? otherwise : time
}
