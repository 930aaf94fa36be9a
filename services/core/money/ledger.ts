import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LedgerMessage } from '../../../schemas/ledger.ts'
import { apply, foldControl, foldLedger } from './booking.ts'
import { type Books, lifeKey, nodeOf, openBooks } from './books.ts'
import { type Place, type Position, reaches } from './position.ts'
import { type NodeTerms, type Queue, type Say, serve } from './serving.ts'

/**
 * The owner of a ledger partition: the one that hands money out. It decides nothing before its marker stands on control
 * and it knows everything that its predecessors knew; then it decides batch by batch, and no second batch while it has not
 * read the first one back, because a grant must never outrun the expiry whose money it hands out.
 *
 * Where a batch may or may not have been written, throw this owner away and take over with a new one.
 */
export type Owner = Queue & {
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
}

export type OwnerSettings = {
  readonly termMs: number
  /** Beyond the term: clocks of two machines do not run quite alike. */
  readonly marginMs: number
  /** An expired epoch's idle lease stays out until the epoch tells the truth; else it is free at once. */
  readonly keepsLease: boolean
}

export type Clock = { readonly monotonicMs: number; readonly wallMs: number }

/** Records of one batch: one write of a log, some hundred kilobytes. */
const batchMost = 1_000

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
  if (message.type !== 'lease.requested') return
  const key = lifeKey(message)
  // One that was answered before it was read here waits for nothing.
  if (books.nodes.get(message.node)?.asks.get(key)?.ask !== message.ask) return
  const place = `${key} ${message.node}`
  if ((owner.askedAt.get(place)?.ask ?? -1) < message.ask)
    owner.askedAt.set(place, { ask: message.ask, at: clock.monotonicMs })
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
    if (batch.length >= batchMost) break
    books.dirty.delete(node)
    const book = nodeOf(books, node)
    serve(owner, book, world.nodeAt(node), world, say)
    // Not served yet: it is looked at again in the next round.
    if (book.asks.size > 0) books.dirty.add(node)
    else books.dirty.delete(node)
  }
  owner.unread = batch.length
  return batch
}

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
