import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LeaseRequested, Life } from '../../../schemas/ledger.ts'
import { headroom, lifeKey, type NodeBook, overdrawn } from './books.ts'
import { type BudgetNode, birthrightOf } from './budget.ts'
import { grantOf } from './grant.ts'

export type NodeTerms = Pick<BudgetNode, 'limitNanoUsd' | 'opensAt' | 'closesAt' | 'alertAt'>

/** When the owner was asked what, and when it last called money back: what its own clock saw, and no state. */
export type Queue = {
  readonly askedAt: Map<string, { readonly ask: number; readonly at: number }>
  readonly recalledAt: Map<string, number>
}

type Part<Record> = Record extends MoneyDecision
  ? Omit<Record, 'partition' | 'owner' | 'owner_epoch' | 'ledger_offsets'>
  : never
/** Decides it: it is in the books from now on. */
export type Say = (record: Part<MoneyDecision>) => void

type Now = { readonly monotonicMs: number; readonly wallMs: number }

const limits = {
  /** Leases for a window are granted so long before it opens … */
  aheadMs: 30_000,
  /** … and after it closed, to calls that were admitted a moment before. */
  lateMs: 5_000,
  /** Gateways give up a waiting call after 2 s; an ask that is older is nobody's. */
  waitMs: 3_000,
  /** Often enough within those 2 s, seldom enough not to be a storm. */
  recallEveryMs: 200,
}

/**
 * What there is to decide at one node. `policy`: what it says of the node; where it says nothing, those who ask have to.
 * Null from both: nobody knows the cap (yet), and nothing is granted.
 */
export function serve(queue: Queue, book: NodeBook, policy: NodeTerms | null, now: Now, say: Say): void {
  const terms = policy ?? termsIn(book)
  if (terms === null || isByBirth(book, terms)) return
  opened(book, terms, say)
  alert(book, terms, say)
  answer(queue, book, now, say)
}

/** Books what the policy says of a node and what its first gateway has by birth, before anything is granted there. */
function opened(book: NodeBook, terms: NodeTerms, say: Say): void {
  const { node, limit } = book
  if (limit?.nanoUsd !== terms.limitNanoUsd || limit.closesAt !== terms.closesAt) {
    const window = { opens_at: terms.opensAt, closes_at: terms.closesAt }
    say({
      type: 'window.opened',
      node,
      version: (limit?.version ?? -1) + 1,
      limit_nano_usd: terms.limitNanoUsd,
      ...window,
    })
    // Leases that were granted under a higher cap are called back.
    if (headroom(book) < 0) say({ type: 'lease.recalled', node })
  }
  if (book.mintedBy !== null) {
    const right = Math.max(book.birthright, limit === null ? birthrightOf(terms.limitNanoUsd) : 0)
    const lease = book.leases.get(lifeKey(book.mintedBy))
    if (right > 0 && (lease === undefined || lease.granted < right))
      say({
        type: 'lease.granted',
        node,
        ...lifeOnly(book.mintedBy),
        granted_nano_usd: right,
        ask: lease?.answered ?? 0,
      })
  }
  if (book.exhausted !== null && book.spent + book.presumed + book.exhausted <= (book.limit?.nanoUsd ?? 0))
    say({ type: 'budget.balance', ...standingOf(book) })
}

/**
 * A run of which nobody has asked anything, and most never do: whoever named it spends what it has by birth. What it has
 * it said itself, on the ledger, so there is nothing to decide before somebody else comes, its cap changes or is near.
 */
const isByBirth = (
  { limit, cap, birthright, asks, spent }: NodeBook,
  { limitNanoUsd, alertAt = [] }: NodeTerms,
): boolean =>
  limit === null &&
  cap?.version === 0 &&
  birthright > 0 &&
  asks.size === 0 &&
  alertAt.every(threshold => spent < threshold * limitNanoUsd)

function termsIn({ cap }: NodeBook): NodeTerms | null {
  if (cap === null) return null
  const { limit_nano_usd: limitNanoUsd, opens_at: opensAt, closes_at: closesAt, alert_at: alertAt } = cap
  return { limitNanoUsd, opensAt, closesAt, ...(alertAt === undefined ? {} : { alertAt }) }
}

/** On crossing, once in a window: what is told stands on control, so a later owner knows. */
function alert(book: NodeBook, { limitNanoUsd, alertAt = [] }: NodeTerms, say: Say): void {
  for (const threshold of alertAt)
    if (book.spent >= threshold * limitNanoUsd && !book.alerted.has(threshold))
      say({ type: 'budget.threshold', ...standingOf(book), threshold })
}

/** Answers asks in the order of asking. The first that has to wait keeps those behind it waiting. */
function answer(queue: Queue, book: NodeBook, { monotonicMs, wallMs }: Now, say: Say): void {
  const { limit, node } = book
  if (limit === null || wallMs < limit.opensAt - limits.aheadMs) return
  const isOver = limit.closesAt !== null && wallMs >= limit.closesAt + limits.lateMs
  const gateways = [...book.leases.values()].filter(lease => lease.life.ended === 'no' && !lease.final).length
  let waiting = false
  const asks = [...book.asks]
  for (const [key, ask] of asks) {
    const lease = book.leases.get(key)
    const place = `${key} ${node}`
    const arrived = queue.askedAt.get(place) ?? { ask: ask.ask, at: monotonicMs }
    queue.askedAt.set(place, arrived)
    if (
      lease === undefined ||
      lease.life.ended !== 'no' ||
      lease.final ||
      isOver ||
      monotonicMs - arrived.at > limits.waitMs
    ) {
      book.asks.delete(key)
      continue
    }
    const needs = Math.max(0, ask.needs_nano_usd - lease.granted)
    const wants = Math.max(0, ask.wants_nano_usd - lease.granted)
    if (needs > 0 && book.spent + book.presumed + ask.asked_nano_usd > limit.nanoUsd) {
      const answered = { ask: ask.ask, asked_nano_usd: ask.asked_nano_usd, resets_at: limit.closesAt }
      say({ type: 'budget.exhausted', ...standingOf(book), ...lifeOnly(ask), ...answered })
      continue
    }
    if (waiting) continue
    const stock = Math.max(0, (ask.stock_nano_usd ?? 0) - lease.granted)
    const idle = Math.max(0, lease.granted - lease.returned - (lease.spent - lease.beyond))
    const amount = grantOf({ needs, wants, stock }, { headroom: headroom(book) + overdrawn(lease), gateways, idle })
    if (amount > 0)
      say({ type: 'lease.granted', node, ...lifeOnly(ask), granted_nano_usd: lease.granted + amount, ask: ask.ask })
    // An ask ahead that finds nothing, or that a grant on its way has met already, is dropped: who needs more asks again.
    else if (needs === 0) book.asks.delete(key)
    else waiting = true
  }
  for (const [key] of asks) if (!book.asks.has(key)) queue.askedAt.delete(`${key} ${node}`)
  if (waiting && monotonicMs - (queue.recalledAt.get(node) ?? -limits.recallEveryMs) >= limits.recallEveryMs) {
    queue.recalledAt.set(node, monotonicMs)
    say({ type: 'lease.recalled', node })
  }
}

const standingOf = ({ node, limit, spent, presumed }: NodeBook) => ({
  node,
  limit_nano_usd: limit?.nanoUsd ?? 0,
  spent_nano_usd: spent,
  presumed_nano_usd: presumed,
})

const lifeOnly = ({ gateway, epoch }: Life | LeaseRequested): Life => ({ gateway, epoch })
