import type { Alert } from '../../schemas/alert.ts'
import type { MoneyDecision } from '../../schemas/control.ts'
import { header } from '../../schemas/envelope.ts'
import { decodeDecision, decodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import type { Books } from '../core/money/books.ts'
import { scopeOfNode } from '../core/money/caps.ts'
import {
  decide,
  type Owner,
  type OwnerSettings,
  openOwner,
  readControl,
  readLedger,
  someAreSilent,
  takeOver,
} from '../core/money/ledger.ts'
import type { Position } from '../core/money/position.ts'
import type { NodeTerms } from '../core/money/serving.ts'
import { Fault } from '../io/fault.ts'
import type { Batch, EventLog } from '../io/log/port.ts'
import type { Alerts } from './alerts.ts'
import type { Control } from './control.ts'

/**
 * One owner at work: it reads a part of the ledger and all of control, and hands money out in `sluice.control`. It decides
 * when it has heard something, and a few times a second besides, for silence is news too.
 */
export type Steward = {
  readonly owner: Owner
  /** The next batch of the ledger. */
  readonly read: (batch: Batch) => void
  /** The policy has changed: all caps are looked at again. */
  readonly lookAgain: () => void
  /** False while a decision is on its way, which may never stand on the log: then its books must not be kept. */
  readonly isQuiet: () => boolean
  /** Rejects where it can no longer know what stands on the log: whoever goes on has to begin anew. */
  readonly ended: Promise<void>
  readonly close: () => Promise<void>
}

export type StewardOptions = {
  readonly log: EventLog
  /** Unique to this life of this process. */
  readonly name: string
  readonly partition: number
  readonly settings: OwnerSettings
  readonly nodeAt: (node: string, wallMs: number) => NodeTerms | null
  /** Where the ledger ends now, as far as this owner reads it. */
  readonly ends: () => Promise<Position>
  readonly control: Control
  readonly alerts: Alerts
  /** As far as a former life knew. */
  readonly books: Books
}

/** Waiting asks give up after seconds, recalls go out again after fifths of one. */
const lookEveryMs = 50

export function openSteward(options: StewardOptions): Steward {
  const { log, partition, settings, control, alerts } = options
  const owner = openOwner(options.name, partition, settings, options.books)
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => {}) // told by `ended`
  let thinking = false
  let again = false
  let closed = false
  const clock = () => ({ monotonicMs: performance.now(), wallMs: Date.now() })

  const { controlNext } = owner.books
  const hear = (record: MoneyDecision, offset: number): void => {
    // What stands before is in the books; only whether it was told to people is not.
    if (offset >= controlNext) readControl(owner, record, offset, clock())
    const fence = owner.books.fence.get(partition)
    const counts = record.partition === partition && fence?.owner === record.owner && fence.epoch === record.owner_epoch
    const alert = counts ? alertOf(record) : null
    if (alert !== null) alerts.raise(alert.id, alert.alert).catch(broken.reject)
  }
  const following = log.follow(topics.control.name, {
    from: 'earliest',
    onBatch({ records }) {
      for (const record of records) {
        // Not parsed where it is known: it can be all that was ever decided.
        if (record.offset < controlNext && !told.has(record.headers[header.type] ?? '')) continue
        const decision = decodeDecision(record)
        if (decision !== null) hear(decision, record.offset)
      }
      if (owner.phase === 'fenced') throw new Fault('ledger_fenced', `${options.name} has been replaced as owner`)
      void think()
    },
  })
  following.caughtUp.then(() => control.decide([takeOver(owner)])).catch(broken.reject)

  /** One batch under way, never two: a grant must not outrun the expiry whose money it hands out. */
  const think = async (): Promise<void> => {
    if (closed) return
    again = thinking
    if (thinking) return
    thinking = true
    try {
      do {
        again = false
        const now = clock()
        const ledgerEnd = someAreSilent(owner, now.monotonicMs) ? await options.ends() : {}
        const batch = decide(owner, { ...now, ledgerEnd, nodeAt: node => options.nodeAt(node, now.wallMs) })
        if (batch.length > 0) await control.decide(batch)
      } while (again)
    } catch (error) {
      broken.reject(error)
    } finally {
      thinking = false
    }
  }
  const looking = setInterval(think, lookEveryMs)

  return {
    owner,
    read({ partition: from, records }) {
      const now = clock()
      for (const record of records) {
        const message = decodeLedger(record)
        if (message !== null) readLedger(owner, message, { partition: from, offset: record.offset }, now)
      }
      void think()
    },
    lookAgain() {
      for (const node of owner.books.nodes.keys()) owner.books.dirty.add(node)
      void think()
    },
    isQuiet: () => owner.unread === 0 && !thinking,
    ended: Promise.race([following.ended, broken.promise]),
    async close() {
      closed = true
      clearInterval(looking)
      await following.close()
    },
  }
}

/** Decisions of which people are told. */
const told: ReadonlySet<string> = new Set<MoneyDecision['type']>(['budget.threshold', 'budget.exhausted'])

/** What people are told of a decision. Its id says which crossing it was, so it is told once, whoever tells it. */
function alertOf(record: MoneyDecision): { readonly id: string; readonly alert: Alert } | null {
  if (record.type !== 'budget.threshold' && record.type !== 'budget.exhausted') return null
  const { node, limit_nano_usd, spent_nano_usd, presumed_nano_usd } = record
  const scope = scopeOfNode(node)
  const [kind, name] = [scope.slice(0, scope.indexOf(':')), scope.slice(scope.indexOf(':') + 1)]
  const about = {
    scope,
    ...(kind === 'run' ? { run_id: name } : kind === 'agent' ? { agent: name } : {}),
    rule: 'budget',
    action: 'alert',
    mode: 'enforce' as const,
  }
  const data = { node, limit_nano_usd, spent_nano_usd, presumed_nano_usd }
  if (record.type === 'budget.threshold') {
    const { threshold } = record
    return {
      id: `budget.threshold:${node}:${threshold}`,
      alert: { ...about, type: 'budget.threshold', data: { ...data, threshold } },
    }
  }
  const { asked_nano_usd, resets_at } = record
  return {
    id: `budget.exceeded:${node}:${limit_nano_usd}`,
    alert: { ...about, type: 'budget.exceeded', data: { ...data, asked_nano_usd, resets_at } },
  }
}
