import type { MoneyDecision } from '../../schemas/control.ts'
import type { LeaseReport, LeaseRequested, LedgerMessage, Life, RunCap, SpendCorrected } from '../../schemas/ledger.ts'
import { type Fence, passes } from './fence.ts'
import { furthest, type Place, type Position, past } from './position.ts'

/**
 * The books of one ledger partition: a fold of its messages and of the owner's records on control.
 *
 * Every amount is the highest running total read so far, and what an epoch takes from a cap is computed from these alone.
 * So the state depends on what has been read, not on how the two logs were interleaved, nor on how often.
 */
export type Books = {
  readonly partition: number
  readonly fence: Fence
  /** What of the ledger is folded. */
  ledgerNext: Position
  controlNext: number
  /** The furthest place in the ledger at which a valid decision was taken. */
  named: Position
  readonly nodes: Map<string, NodeBook>
  readonly lives: Map<string, LifeBook>
  /** What the owner has to look at again. It empties them. */
  readonly dirty: Set<string>
  readonly unheard: Set<string>
}

export type NodeBook = {
  readonly node: string
  limit: {
    readonly version: number
    readonly nanoUsd: number
    readonly opensAt: number
    readonly closesAt: number | null
  } | null
  readonly leases: Map<string, LeaseBook>
  readonly corrections: Map<string, { readonly correction: number; readonly total: number }>
  /** Sums over all epochs. May be lowered by corrections. */
  spent: number
  presumed: number
  leased: number
  /** Billed beyond the holds: the only way in which a cap is passed. */
  beyond: number
  /** Asks not yet answered, in the order of asking. */
  readonly asks: Map<string, LeaseRequested>
  /** The smallest bound that was refused for good; null where none is. */
  exhausted: number | null
  mintedBy: Life | null
  birthright: number
  /** Of a run: as those who ask know it. */
  cap: RunCap | null
  /** Parts of the limit of which it was told that they are spent. */
  readonly alerted: Set<number>
}

export type LeaseBook = {
  readonly life: LifeBook
  granted: number
  spent: number
  beyond: number
  returned: number
  held: number
  report: number
  final: boolean
  /** The latest ask that was answered. */
  answered: number
  /** The latest ask that was read. */
  read: number
}

export type LifeBook = {
  readonly gateway: string
  readonly epoch: number
  beat: number
  acknowledged: number
  ended: 'no' | 'released' | 'kept'
  readonly nodes: Set<string>
}

export const lifeKey = ({ gateway, epoch }: Life): string => `${gateway}.${epoch}`

export const openBooks = (partition: number): Books => ({
  partition,
  fence: new Map(),
  ledgerNext: {},
  controlNext: 0,
  named: {},
  nodes: new Map(),
  lives: new Map(),
  dirty: new Set(),
  unheard: new Set(),
})

/** What may still be handed out. Money billed beyond a hold is spent, so it takes from this like any other. */
export const headroom = (book: NodeBook): number =>
  (book.limit?.nanoUsd ?? 0) - book.spent - book.presumed - book.leased

/** Takes the next message of the ledger. One from before `ledgerNext` changes nothing. */
export function foldLedger(books: Books, message: LedgerMessage, at: Place): void {
  books.ledgerNext = past(books.ledgerNext, at)
  switch (message.type) {
    case 'lease.requested':
      takeAsk(books, message)
      return
    case 'lease.settled':
    case 'lease.returned':
      takeReport(books, message)
      return
    case 'gateway.heartbeat': {
      const life = lifeOf(books, message)
      if (message.beat <= life.beat) return
      life.beat = message.beat
      books.unheard.add(lifeKey(message))
      return
    }
    case 'spend.corrected':
      takeCorrection(books, message)
      return
    default:
      message satisfies never
  }
}

/** Takes the next record of control; false where it is void or of another partition. */
export function foldControl(books: Books, record: MoneyDecision, offset: number): boolean {
  books.controlNext = Math.max(books.controlNext, offset + 1)
  if (record.partition !== books.partition || !passes(books.fence, record)) return false
  apply(books, record)
  return true
}

/** A decision as it changes the books: of the owner itself at once, of every other reader where it stands on control. */
export function apply(books: Books, record: MoneyDecision): void {
  books.named = furthest(books.named, record.ledger_offsets)
  switch (record.type) {
    case 'ledger.owned':
    case 'lease.recalled':
      return
    case 'window.opened': {
      const book = nodeOf(books, record.node)
      if (record.version <= (book.limit?.version ?? -1)) return
      const { version, limit_nano_usd: nanoUsd, opens_at: opensAt, closes_at: closesAt } = record
      book.limit = { version, nanoUsd, opensAt, closesAt }
      books.dirty.add(record.node)
      return
    }
    case 'lease.granted':
      change(books, record.node, record, lease => {
        lease.granted = Math.max(lease.granted, record.granted_nano_usd)
      })
      answer(books, record.node, record, record.ask)
      return
    case 'budget.exhausted': {
      const book = nodeOf(books, record.node)
      book.exhausted = Math.min(book.exhausted ?? record.asked_nano_usd, record.asked_nano_usd)
      answer(books, record.node, record, record.ask)
      return
    }
    case 'budget.balance':
      nodeOf(books, record.node).exhausted = null
      return
    case 'budget.threshold':
      nodeOf(books, record.node).alerted.add(record.threshold)
      return
    case 'gateway.heard': {
      const life = lifeOf(books, record)
      life.acknowledged = Math.max(life.acknowledged, record.beat)
      return
    }
    case 'gateway.expired': {
      const life = lifeOf(books, record)
      if (life.ended !== 'no') return
      const nodes = [...life.nodes].map(node => [node, partOf(nodeOf(books, node).leases.get(lifeKey(life)))] as const)
      life.ended = record.keeps_lease ? 'kept' : 'released'
      for (const [node, before] of nodes) rebook(books, node, lifeKey(life), before)
      books.unheard.delete(lifeKey(life))
      return
    }
    default:
      record satisfies never
  }
}

function takeAsk(books: Books, ask: LeaseRequested): void {
  bear(books, ask)
  const lease = leaseOf(books, ask.node, ask)
  if (ask.ask <= lease.read) return
  lease.read = ask.ask
  books.dirty.add(ask.node)
  // An ask that was answered before this reader came to it is not answered twice. One that replaces another keeps its turn.
  const { asks } = nodeOf(books, ask.node)
  if (ask.ask > lease.answered) asks.set(lifeKey(ask), ask)
}

function takeReport(books: Books, report: LeaseReport): void {
  bear(books, report)
  change(books, report.node, report, lease => {
    lease.spent = Math.max(lease.spent, report.spent_nano_usd)
    lease.beyond = Math.max(lease.beyond, report.beyond_nano_usd)
    lease.returned = Math.max(lease.returned, report.returned_nano_usd)
    lease.final ||= report.final === true
    if (report.report <= lease.report) return
    lease.report = report.report
    lease.held = report.held_nano_usd
  })
}

function takeCorrection(books: Books, { node, source, correction, total_nano_usd: total }: SpendCorrected): void {
  const book = nodeOf(books, node)
  const before = book.corrections.get(source)
  if (before !== undefined && correction <= before.correction) return
  book.corrections.set(source, { correction, total })
  book.spent += total - (before?.total ?? 0)
  books.dirty.add(node)
}

function bear(books: Books, said: LeaseRequested | LeaseReport): void {
  const book = nodeOf(books, said.node)
  if (said.cap !== undefined && said.cap.version > (book.cap?.version ?? -1)) {
    book.cap = said.cap
    books.dirty.add(said.node)
  }
  if (said.minted_by === undefined) return
  book.mintedBy ??= said.minted_by
  book.birthright = Math.max(book.birthright, said.birthright_nano_usd ?? 0)
  // Whoever may spend without asking has to be counted, also where nobody has heard of it.
  lifeOf(books, book.mintedBy)
}

function answer(books: Books, node: string, to: Life, ask: number): void {
  const lease = leaseOf(books, node, to)
  lease.answered = Math.max(lease.answered, ask)
  const { asks } = nodeOf(books, node)
  const waiting = asks.get(lifeKey(to))
  if (waiting !== undefined && waiting.ask <= lease.answered) asks.delete(lifeKey(to))
}

type Part = { readonly spent: number; readonly presumed: number; readonly leased: number; readonly beyond: number }
const nothing: Part = { spent: 0, presumed: 0, leased: 0, beyond: 0 }

/** What one epoch takes from a cap. */
function partOf(lease: LeaseBook | undefined): Part {
  if (lease === undefined) return nothing
  const { spent, beyond, held } = lease
  if (lease.final || lease.life.ended === 'released') return { spent, presumed: held, leased: 0, beyond }
  // A report may be read before the grant that it spends.
  const open = Math.max(lease.granted - lease.returned - (spent - beyond), held)
  return { spent, presumed: 0, leased: open, beyond }
}

function change(books: Books, node: string, of: Life, set: (lease: LeaseBook) => void): void {
  const lease = leaseOf(books, node, of)
  const before = partOf(lease)
  set(lease)
  rebook(books, node, lifeKey(of), before)
}

function rebook(books: Books, node: string, key: string, before: Part): void {
  const book = nodeOf(books, node)
  const after = partOf(book.leases.get(key))
  book.spent += after.spent - before.spent
  book.presumed += after.presumed - before.presumed
  book.leased += after.leased - before.leased
  book.beyond += after.beyond - before.beyond
  books.dirty.add(node)
}

export function nodeOf(books: Books, node: string): NodeBook {
  const known = books.nodes.get(node)
  if (known !== undefined) return known
  const sums = {
    spent: 0,
    presumed: 0,
    leased: 0,
    beyond: 0,
    exhausted: null,
    mintedBy: null,
    birthright: 0,
    cap: null,
  }
  const maps = { leases: new Map(), corrections: new Map(), asks: new Map(), alerted: new Set<number>() }
  const book: NodeBook = { node, limit: null, ...maps, ...sums }
  books.nodes.set(node, book)
  return book
}

function lifeOf(books: Books, { gateway, epoch }: Life): LifeBook {
  const key = lifeKey({ gateway, epoch })
  const known = books.lives.get(key)
  if (known !== undefined) return known
  const life: LifeBook = { gateway, epoch, beat: -1, acknowledged: -1, ended: 'no', nodes: new Set() }
  books.lives.set(key, life)
  return life
}

function leaseOf(books: Books, node: string, of: Life): LeaseBook {
  const book = nodeOf(books, node)
  const known = book.leases.get(lifeKey(of))
  if (known !== undefined) return known
  const life = lifeOf(books, of)
  const totals = { granted: 0, spent: 0, beyond: 0, returned: 0, held: 0, report: -1 }
  const lease: LeaseBook = { life, ...totals, final: false, answered: -1, read: -1 }
  life.nodes.add(node)
  book.leases.set(lifeKey(of), lease)
  return lease
}
