import type { MoneyDecision } from '../../schemas/control.ts'
import type { LeaseRequested, LedgerMessage, Life } from '../../schemas/ledger.ts'
import {
  apply,
  type Books,
  foldControl,
  foldLedger,
  headroom,
  lifeKey,
  type NodeBook,
  nodeOf,
  openBooks,
} from './books.ts'
import { type BudgetNode, birthrightOf } from './budget.ts'
import { grantOf } from './grant.ts'
import { type Place, type Position, reaches } from './position.ts'

/**
 * The owner of a ledger partition: the one that hands money out. It decides nothing before its marker stands on control
 * and it knows everything that its predecessors knew; then it decides batch by batch, and no second batch while it has not
 * read the first one back, because a grant must never outrun the expiry whose money it hands out.
 *
 * Where a batch may or may not have been written, throw this owner away and take over with a new one.
 */
export type Owner = {
  readonly name: string
  readonly books: Books
  readonly settings: OwnerSettings
  /** Zero until a marker was written. */
  epoch: number
  phase: 'reading' | 'marked' | 'catching-up' | 'deciding' | 'fenced'
  /** Records of the batch on its way that have not been read back. */
  unread: number
  /** What the own clock saw. No state: a new owner begins it anew. */
  readonly heardAt: Map<string, number>
  readonly silentSince: Map<string, Position>
  readonly askedAt: Map<string, { readonly ask: number; readonly at: number }>
  readonly recalledAt: Map<string, number>
}

export type OwnerSettings = {
  readonly termMs: number
  /** Beyond the term: clocks of two machines do not run quite alike. */
  readonly marginMs: number
  /** An expired epoch's idle lease stays out until the epoch tells the truth; else it is free at once. */
  readonly keepsLease: boolean
}

export type Clock = { readonly monotonicMs: number; readonly wallMs: number }

const limits = {
  /** Leases for a window are granted so long before it opens … */
  aheadMs: 30_000,
  /** … and after it closed, to calls that were admitted a moment before. */
  lateMs: 5_000,
  /** Gateways give up a waiting call after 2 s; an ask that is older is nobody's. */
  waitMs: 3_000,
  /** Often enough within those 2 s, seldom enough not to be a storm. */
  recallEveryMs: 200,
  /** Records of one batch: one write of a log, some hundred kilobytes. */
  batch: 1_000,
}

export const openOwner = (
  name: string,
  partition: number,
  settings: OwnerSettings,
  books = openBooks(partition),
): Owner => ({
  name,
  books,
  settings,
  epoch: 0,
  phase: 'reading',
  unread: 0,
  heardAt: new Map(),
  silentSince: new Map(),
  askedAt: new Map(),
  recalledAt: new Map(),
})

/** The marker of a takeover, to be appended to control. Read control to its end first, or the marker may be void. */
export function takeOver(owner: Owner): MoneyDecision {
  owner.epoch = (owner.books.fence.get(owner.books.partition)?.epoch ?? 0) + 1
  owner.phase = 'marked'
  return { type: 'ledger.owned', ...said(owner), ledger_offsets: {} }
}

export function readLedger(owner: Owner, message: LedgerMessage, at: Place, clock: Clock): void {
  const { books } = owner
  const isLife = message.type !== 'spend.corrected'
  const beat = isLife ? (books.lives.get(lifeKey(message))?.beat ?? -2) : 0
  foldLedger(books, message, at)
  if (isLife && (books.lives.get(lifeKey(message))?.beat ?? -2) > beat) hear(owner, lifeKey(message), clock)
  if (message.type === 'lease.requested') {
    const place = `${lifeKey(message)} ${message.node}`
    if ((owner.askedAt.get(place)?.ask ?? -1) < message.ask)
      owner.askedAt.set(place, { ask: message.ask, at: clock.monotonicMs })
  }
}

export function readControl(owner: Owner, record: MoneyDecision, offset: number, clock: Clock): void {
  const { books } = owner
  if (record.partition !== books.partition) return
  const valid = foldControl(books, record, offset)
  const mine = record.owner === owner.name && record.owner_epoch === owner.epoch
  if (record.type !== 'ledger.owned') {
    if (mine && valid) owner.unread -= 1
    return
  }
  if (mine && valid && owner.phase === 'marked') {
    owner.phase = 'catching-up'
    // From now: before, another owner may have acknowledged what this one has not read.
    for (const key of books.lives.keys()) hear(owner, key, clock)
  } else if (owner.phase !== 'reading' && books.fence.get(books.partition)?.owner !== owner.name) owner.phase = 'fenced'
}

export type World = Clock & {
  /** The end of the ledger, asked for now: where the next messages will stand. */
  readonly ledgerEnd: Position
  /** The policy's cap at a node; null where it knows none (yet). What it says of none, those who ask say. */
  readonly nodeAt: (node: string) => NodeTerms | null
}

export type NodeTerms = Pick<BudgetNode, 'limitNanoUsd' | 'opensAt' | 'closesAt' | 'alertAt'>

/** Whether an epoch has been silent for so long that `decide` needs the end of the ledger; it is dear to ask for. */
export const someAreSilent = ({ books, heardAt, settings }: Owner, monotonicMs: number): boolean =>
  [...books.lives].some(([key, life]) => life.ended === 'no' && isSilent(heardAt.get(key), settings, monotonicMs))

const isSilent = (heardAt: number | undefined, { termMs, marginMs }: OwnerSettings, monotonicMs: number): boolean =>
  heardAt !== undefined && monotonicMs - heardAt > termMs + marginMs

/** The next batch for control, to be appended in this order and as a whole before anything else. Empty: nothing to say. */
export function decide(owner: Owner, world: World): readonly MoneyDecision[] {
  const { books } = owner
  if (owner.phase === 'catching-up' && reaches(books.ledgerNext, books.named)) owner.phase = 'deciding'
  if (owner.phase !== 'deciding' || owner.unread > 0) return []
  const batch: MoneyDecision[] = []
  const say: Say = record => {
    const whole = { ...record, ...said(owner) } as MoneyDecision // the two parts of one member of the union
    apply(books, whole)
    batch.push(whole)
  }
  acknowledge(owner, say)
  expire(owner, world, say)
  for (const node of [...books.dirty]) {
    if (batch.length >= limits.batch) break
    books.dirty.delete(node)
    const book = nodeOf(books, node)
    const terms = world.nodeAt(node) ?? termsIn(book)
    if (terms !== null) {
      opened(book, terms, say)
      alert(book, terms, say)
      serve(owner, book, world, say)
    }
    // Not served yet: it is looked at again in the next round.
    if (book.asks.size > 0) books.dirty.add(node)
    else books.dirty.delete(node)
  }
  owner.unread = batch.length
  return batch
}

type Part<Record> = Record extends MoneyDecision
  ? Omit<Record, 'partition' | 'owner' | 'owner_epoch' | 'ledger_offsets'>
  : never
type Say = (record: Part<MoneyDecision>) => void

const said = ({ name, epoch, books }: Owner) => ({
  partition: books.partition,
  owner: name,
  owner_epoch: epoch,
  ledger_offsets: books.ledgerNext,
})

function acknowledge({ books }: Owner, say: Say): void {
  for (const key of books.unheard) {
    const life = books.lives.get(key)
    if (life === undefined || life.ended !== 'no' || life.beat <= life.acknowledged) continue
    say({ type: 'gateway.heard', gateway: life.gateway, epoch: life.epoch, beat: life.beat })
  }
  books.unheard.clear()
}

function hear(owner: Owner, key: string, { monotonicMs }: Clock): void {
  owner.heardAt.set(key, monotonicMs)
  owner.silentSince.delete(key)
}

/**
 * Ends epochs that were silent for a term and its margin. Only once the ledger is folded up to where it ended *then*: what
 * the epoch admitted within its term stands before that place, and must be presumed before the rest is free.
 */
function expire(owner: Owner, { monotonicMs, ledgerEnd }: World, say: Say): void {
  const { books, settings } = owner
  for (const [key, life] of books.lives) {
    if (life.ended !== 'no') continue
    const heardAt = owner.heardAt.get(key)
    if (heardAt === undefined) owner.heardAt.set(key, monotonicMs)
    if (!isSilent(heardAt, settings, monotonicMs)) continue
    const end = owner.silentSince.get(key) ?? ledgerEnd
    owner.silentSince.set(key, end)
    if (!reaches(books.ledgerNext, end)) continue
    owner.silentSince.delete(key)
    say({ type: 'gateway.expired', gateway: life.gateway, epoch: life.epoch, keeps_lease: settings.keepsLease })
  }
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
function serve(owner: Owner, book: NodeBook, { monotonicMs, wallMs }: World, say: Say): void {
  const { limit, node } = book
  if (limit === null || wallMs < limit.opensAt - limits.aheadMs) return
  const isOver = limit.closesAt !== null && wallMs >= limit.closesAt + limits.lateMs
  const gateways = [...book.leases.values()].filter(lease => lease.life.ended === 'no' && !lease.final).length
  let waiting = false
  for (const [key, ask] of [...book.asks]) {
    const lease = book.leases.get(key)
    const place = `${key} ${node}`
    const arrived = owner.askedAt.get(place) ?? { ask: ask.ask, at: monotonicMs }
    owner.askedAt.set(place, arrived)
    if (
      lease === undefined ||
      lease.life.ended !== 'no' ||
      lease.final ||
      isOver ||
      monotonicMs - arrived.at > limits.waitMs
    ) {
      book.asks.delete(key)
      owner.askedAt.delete(place)
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
    const amount = grantOf(needs, wants, { headroom: headroom(book), gateways })
    if (amount > 0)
      say({ type: 'lease.granted', node, ...lifeOnly(ask), granted_nano_usd: lease.granted + amount, ask: ask.ask })
    // An ask ahead that finds nothing, or that a grant on its way has met already, is dropped: who needs more asks again.
    else if (needs === 0) book.asks.delete(key)
    else waiting = true
  }
  if (waiting && monotonicMs - (owner.recalledAt.get(node) ?? -limits.recallEveryMs) >= limits.recallEveryMs) {
    owner.recalledAt.set(node, monotonicMs)
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
