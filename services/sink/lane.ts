import { header } from '../../schemas/envelope.ts'
import { topics } from '../../schemas/topics.ts'
import { Fault } from '../io/fault.ts'
import type { Batch, LogRecord, Mark, Partition } from '../io/log/port.ts'
import { makeBell } from './bell.ts'
import { type Keeping, openKeeper, type Stored } from './keeper.ts'
import { pause } from './patience.ts'
import type { Slots } from './slots.ts'

/** When a batch goes, and how much waits for it. */
export type Limits = {
  readonly rows: number
  readonly bytes: number
  /** A record waits at most this long for others. */
  readonly lingerMs: number
  /** With a batch under way and the next one full, a reader is held up this long; then the sink lets go of the log. */
  readonly roomMs: number
}

/**
 * Small inserts cost ClickHouse nearly as much as large ones (tens of milliseconds, and a part to merge), large ones
 * memory: from 4,000 rows on they no longer get faster. A linger of 250 ms leaves most of a second from the end of a
 * request to its row for the rest. A minute without room is an outage, which others may sit out as well as this one.
 */
const defaultLimits: Limits = { rows: 4_000, bytes: 8 * 1024 * 1024, lingerMs: 250, roomMs: 60_000 }

/**
 * Books are audited, calls are watched: where a fleet names its runs each leaves a word or two on the ledger and on
 * control, and three inserts each quarter of a second for a few rows were most of what ClickHouse had to do.
 */
const calm: readonly string[] = [topics.ledger.name, topics.control.name]
const calmLingerMs = 1_000

export const limitsOf = (topic: string): Limits =>
  calm.includes(topic) ? { ...defaultLimits, lingerMs: calmLingerMs } : defaultLimits

/** An insert under way when the partition goes is waited for this long; then it is as if it had crashed. */
const letGoMs = 5_000

/** One partition while it is this sink's: what was read and is not stored yet, and the loop that stores it. */
export type Lane = {
  readonly at: Partition
  readonly next: () => number
  /** Takes records; resolves when there is room for more. Throws the Fault `sink_full` when there is none in time. */
  readonly take: (batch: Batch) => Promise<void>
  /** Records that the log has and the table does not, and the age of the oldest that was read, by its own time. */
  readonly lag: () => { readonly records: number; readonly ageMs: number }
  /** Resolves after `stop`; rejects with what no patience mends. */
  readonly ended: Promise<void>
  readonly stop: () => Promise<void>
}

export type LaneOptions = Omit<Keeping, 'stopping' | 'gone'> & {
  readonly limits: Limits
  readonly slots: Slots
  readonly onStored: (at: Partition, stored: Stored & { readonly ms: number; readonly ageMs: number }) => void
}

export function openLane(at: Partition, mark: Mark | null, options: LaneOptions): Lane {
  const { limits, slots } = options
  const stopping = new AbortController()
  const gone = new AbortController()
  const keeper = openKeeper(at, mark, { ...options, stopping: stopping.signal, gone: gone.signal })
  const filled = makeBell()
  const emptied = makeBell()
  let waiting: LogRecord[] = []
  let bytes = 0
  let since = 0
  let end = keeper.next()
  let oldest: LogRecord | null = null
  let owed = keeper.owed

  const isFull = () => waiting.length >= limits.rows || bytes >= limits.bytes
  /** Milliseconds until a batch goes; null: not before more has come. */
  const dueIn = (): number | null => {
    const last = waiting.at(-1)
    if (last === undefined) return null
    if (owed !== null) return last.offset >= owed ? 0 : null
    return isFull() ? 0 : Math.max(0, since + limits.lingerMs - performance.now())
  }

  const cut = (): readonly LogRecord[] => {
    let n = 0
    let size = 0
    for (const record of waiting) {
      if (owed !== null ? record.offset > owed : n >= limits.rows || (n > 0 && size + weight(record) > limits.bytes))
        break
      size += weight(record)
      n++
    }
    const batch = waiting.slice(0, n)
    waiting = waiting.slice(n)
    bytes -= size
    since = performance.now()
    return batch
  }

  const run = async () => {
    while (!stopping.signal.aborted) {
      const ms = dueIn()
      if (ms === null || ms > 0) {
        await filled.heard(ms ?? undefined)
        continue
      }
      await slots.within(async () => {
        if (stopping.signal.aborted) return
        const began = performance.now()
        const batch = cut()
        oldest = batch[0] ?? null
        emptied.ring()
        const stored = await keeper.store(batch)
        owed = null
        options.onStored(at, { ...stored, ms: performance.now() - began, ageMs: ageOf(oldest) })
        oldest = null
      })
    }
  }

  const ended = run().catch(error => {
    // What the taking away of the partition broke off is begun again by whoever has it next.
    if (!stopping.signal.aborted) throw error
  })
  ended.catch(() => {})

  return {
    at,
    next: keeper.next,
    ended,
    async take(batch) {
      if (waiting.length === 0) since = performance.now()
      for (const record of batch.records) {
        waiting.push(record)
        bytes += weight(record)
      }
      end = batch.end
      filled.ring()
      const late = performance.now() + limits.roomMs
      while (isFull() && owed === null && !stopping.signal.aborted) {
        if (performance.now() >= late) throw new Fault('sink_full', 'ClickHouse takes no rows', { retriable: true })
        await emptied.heard(late - performance.now())
      }
    },
    lag: () => ({ records: Math.max(0, end - keeper.next()), ageMs: ageOf(oldest ?? waiting[0] ?? null) }),
    async stop() {
      stopping.abort()
      filled.ring()
      emptied.ring()
      const patience = new AbortController()
      await Promise.race([ended.catch(() => {}), pause(letGoMs, patience.signal)])
      patience.abort()
      gone.abort()
    },
  }
}

const weight = (record: LogRecord): number => record.value.length + 512

/** 0 where there is none, or where its clock is ahead of ours. */
function ageOf(record: LogRecord | null): number {
  const time = Date.parse(record?.headers[header.time] ?? '')
  return Number.isNaN(time) ? 0 : Math.max(0, Date.now() - time)
}
