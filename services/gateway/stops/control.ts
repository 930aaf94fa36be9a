import { setTimeout as sleep } from 'node:timers/promises'
import { isGrantOf, type MoneyDecision } from '../../../schemas/control.ts'
import { header } from '../../../schemas/envelope.ts'
import type { Life } from '../../../schemas/ledger.ts'
import { decodeDecision } from '../../../schemas/money.ts'
import { decodeSignal, type Signal, signalTypes } from '../../../schemas/stop.ts'
import { topics } from '../../../schemas/topics.ts'
import { Fault } from '../../io/fault.ts'
import type { EventLog, Follower, LogRecord } from '../../io/log/port.ts'
import { againWhileAnew } from '../../io/log/view.ts'

/** A record of `sluice.control`: about who may work, or about money. `time` is Unix milliseconds. */
export type ControlRecord =
  | {
      readonly about: 'signal'
      readonly id: string
      readonly time: number
      readonly offset: number
      /** False while what stood on the topic before is read. */
      readonly live: boolean
      readonly signal: Signal
    }
  | { readonly about: 'money'; readonly offset: number; readonly live: boolean; readonly decision: MoneyDecision }

/**
 * One reader of control for all of a gateway that decides by it, from its beginning. Whoever listens gets each record in
 * order; where the topic was made anew all of it comes again, which a fold by versions and running totals does not mind.
 */
export type Control = {
  /**
   * Resolves when all was read that stood on it at the start. With `remembered`, at the latest after some seconds: then
   * the log is away, and it is gone on with what a former life knew.
   */
  readonly known: Promise<void>
  /** Resolves when all was read that stood on it as it could be read for the first time. */
  readonly caughtUp: Promise<void>
  /** Rejects where the log breaks: then kills are no longer seen. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

/** A log that is there answers within this, however long its compacted control is; a start is not held up for longer. */
const patienceMs = 3_000

export function followControl(options: {
  readonly log: EventLog
  readonly listeners: readonly ((record: ControlRecord) => void)[]
  /** Whose money it is that the listeners ask for: what was decided of others' before it began is passed over. */
  readonly spender?: () => Life
  /** A former life's knowledge stands on this disk. */
  readonly remembered?: boolean
}): Control {
  const closing = new AbortController()
  const caughtUp = Promise.withResolvers<void>()
  caughtUp.promise.catch(() => {}) // `ended` tells the same
  let follower: Follower | null = null
  let live = false

  const take = (record: LogRecord): void => {
    if (!live && isPast(record, options.spender?.() ?? null)) return
    const read = readControl(record, live)
    if (read !== null) for (const listen of options.listeners) listen(read)
  }
  const follow = async (): Promise<void> => {
    const reading = options.log.follow(topics.control.name, {
      from: 'earliest',
      onBatch: ({ records }) => records.forEach(take),
    })
    follower = reading
    const read = reading.caughtUp.then(() => {
      live = true
      caughtUp.resolve()
    })
    await Promise.all([reading.ended, read])
  }
  const ended = againWhileAnew(follow, closing.signal).catch(error => {
    caughtUp.reject(error)
    throw error
  })
  ended.catch(() => {}) // for whoever waits for the others

  const patience = sleep(patienceMs, undefined, { signal: closing.signal, ref: false })
  patience.catch(() => {}) // closed before
  const known = options.remembered === true ? Promise.race([caughtUp.promise, patience]) : caughtUp.promise
  known.catch(() => {}) // `ended` tells the same
  return {
    known,
    caughtUp: caughtUp.promise,
    ended,
    async close() {
      closing.abort()
      await follower?.close()
      await ended.catch(() => {}) // told by `ended` itself
      caughtUp.reject(new Fault('log_closed', 'control was closed before it had been read'))
    },
  }
}

/**
 * What owners decided of each run that ever was is most of what stands on control, and nothing to a life that has not
 * spent yet: it is not even parsed.
 */
function isPast({ headers, key }: LogRecord, spender: Life | null): boolean {
  if (spender === null) return false
  const type = headers[header.type] ?? ''
  return type === 'lease.granted' ? !isGrantOf(key, spender) : ofNodes.has(type)
}

const ofNodes: ReadonlySet<string> = new Set<MoneyDecision['type']>([
  'window.opened',
  'lease.recalled',
  'budget.exhausted',
  'budget.balance',
  'budget.threshold',
])

/** Null for what this program does not know: a later one's records are not for it to obey. */
export function readControl(record: LogRecord, live = true): ControlRecord | null {
  const { offset } = record
  if (signalTypes.has(record.headers[header.type] ?? '')) {
    const told = decodeSignal(record)
    return told === null ? null : { about: 'signal', ...told, offset, live }
  }
  const decision = decodeDecision(record)
  return decision === null ? null : { about: 'money', offset, live, decision }
}
