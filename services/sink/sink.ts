import type { Logger } from 'pino'
import type { ClickHouseClient } from '../io/clickhouse/client.ts'
import { Fault, textOf } from '../io/fault.ts'
import type { Consumer, EventLog, Partition, Worker } from '../io/log/port.ts'
import type { Lost, Stored } from './keeper.ts'
import { type Lane, type Limits, limitsOf, openLane } from './lane.ts'
import { openLetters } from './letters.ts'
import { makePatience, pause } from './patience.ts'
import { makeSlots } from './slots.ts'
import { openTable } from './table.ts'

export type { Lost } from './keeper.ts'

/**
 * Brings what is on the log into ClickHouse: every event once, whatever is killed on the way (`keeper.ts` says how). It
 * owns nothing: one that is killed is replaced by starting another.
 */
export type Sink = {
  /** Resolves after `close`. Rejects with a fault that trying again does not mend, or with a mistake of ours. */
  readonly ended: Promise<void>
  /** Over the partitions that are this sink's: records on the log that are not rows yet, and the age of the oldest. */
  readonly lag: () => { readonly records: number; readonly ageMs: number }
  /** Batches under way are finished, within seconds; what was read and not stored is read again by the next sink. */
  readonly close: () => Promise<void>
}

export type SinkOptions = {
  readonly log: EventLog
  /** Its database holds the tables (`migrate`). The sink does not close it. */
  readonly clickhouse: ClickHouseClient
  readonly topics: readonly string[]
  readonly group?: string
  readonly logger: Pick<Logger, 'info' | 'warn'>
  readonly metrics?: SinkMetrics
  /** Told before the mark passes the gap, so at least once; told twice after a crash. A throw is tried again. */
  readonly onLost?: (lost: readonly Lost[]) => Promise<void> | void
  readonly limits?: Partial<Limits>
  /** Inserts under way at one time, over all partitions. Two keep two cores busy; a cluster takes more. */
  readonly inserts?: number
}

export type SinkMetrics = {
  /** A batch is in ClickHouse. `ms`: forming, marking and inserting it; `ageMs`: of its oldest event, by its own time. */
  readonly stored?: (at: Partition, batch: Stored & { readonly ms: number; readonly ageMs: number }) => void
  /** Rows cannot be stored just now, or can again. */
  readonly away?: (away: boolean) => void
}

/** After the log let go of this sink for a reason that passes. */
const againMs = 1_000

export function startSink(options: SinkOptions): Sink {
  const { log, clickhouse, topics, logger } = options
  const closing = new AbortController()
  const table = openTable(clickhouse)
  const persist = makePatience(logger, options.metrics?.away)
  const slots = makeSlots(options.inserts ?? 2)
  const letters = openLetters(log)
  const lanes = new Map<string, Lane>()
  let consumer: Consumer | null = null
  let broken: { readonly by: unknown } | null = null

  const worker: Worker = {
    assigned: (at, mark) => {
      const lane = openLane(at, mark, {
        log,
        table,
        letters,
        persist,
        slots,
        group: options.group ?? 'sink',
        limits: { ...limitsOf(at.topic), ...options.limits },
        onLost: lost => {
          logger.warn({ lost }, 'facts were lost: a producer numbered them and they never came')
          return options.onLost?.(lost)
        },
        onStored: options.metrics?.stored ?? (() => {}),
      })
      lanes.set(nameOf(at), lane)
      lane.ended.catch(error => {
        broken ??= { by: error }
        void consumer?.close()
      })
      return lane.next()
    },
    onBatch: batch => lanes.get(nameOf(batch))?.take(batch) ?? Promise.resolve(),
    revoked: async at => {
      await lanes.get(nameOf(at))?.stop()
      lanes.delete(nameOf(at))
    },
  }

  const run = async () => {
    while (!closing.signal.aborted) {
      try {
        consumer = log.consume(options.group ?? 'sink', topics, worker)
        await consumer.ended
        if (broken !== null) throw broken.by
        return // closed by us, or the log by its owner
      } catch (error) {
        if (closing.signal.aborted) return
        if (!passes(error)) throw error
        logger.warn({ error: textOf(error) }, 'the sink let go of the log and begins again')
        await pause(againMs, closing.signal)
        await persist(
          () => clickhouse.query({ query: 'SELECT 1' }).then(answer => answer.text()),
          closing.signal,
        ).catch(() => {})
      }
    }
  }

  const ended = run()
  return {
    ended,
    lag: () => {
      const each = [...lanes.values()].map(lane => lane.lag())
      return {
        records: each.reduce((sum, lag) => sum + lag.records, 0),
        ageMs: each.reduce((most, lag) => Math.max(most, lag.ageMs), 0),
      }
    },
    async close() {
      closing.abort()
      // A reader that waits for room is let go first; the log waits for it.
      await Promise.all([...lanes.values()].map(lane => lane.stop()))
      await consumer?.close()
      await ended.catch(() => {}) // told by `ended` itself
    },
  }
}

/** Whether beginning again can help. */
const passes = (error: unknown): boolean => error instanceof Fault && (error.retriable || error.code === 'worker_stuck')

const nameOf = (at: Partition): string => `${at.topic}/${at.partition}`
