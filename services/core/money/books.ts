import type { LeaseRequested, Life, RunCap } from '../../../schemas/ledger.ts'
import type { Fence } from './fence.ts'
import type { Position } from './position.ts'

/**
 * The books of one ledger partition: a fold (`booking.ts`) of its messages and of the owner's records on control.
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
  /** Where those nodes are that memory has let go; null: nowhere. */
  shelf: BooksShelf | null
}

/** Whoever keeps books on a disk: a node that is asked for again is taken from there, and it is told what is new. */
export type BooksShelf = {
  readonly take: (node: string) => NodeBook | null
  /** Nodes that are not as they were kept last. It empties them. */
  changed: string[]
  /** Rises whenever it has. */
  round: number
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
  /** The shelf's, in which it was told that this has changed. */
  round: number
}

export type LeaseBook = {
  readonly life: LifeBook
  granted: number
  spent: number
  beyond: number
  returned: number
  held: number
  /** Of the epoch that named this run: what it may use beyond its last report. */
  silent: number
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
  shelf: null,
})

/** What may still be handed out. Money billed beyond a hold is spent, so it takes from this like any other. */
export const headroom = (book: NodeBook): number =>
  (book.limit?.nanoUsd ?? 0) - book.spent - book.presumed - book.leased

/** What an epoch spends and holds above what it was lent. It takes from the cap already, so a grant that fills it takes no more. */
export const overdrawn = ({ granted, returned, spent, beyond, held }: LeaseBook): number =>
  Math.max(0, held - (granted - returned - (spent - beyond)))

type Part = { readonly spent: number; readonly presumed: number; readonly leased: number; readonly beyond: number }
const nothing: Part = { spent: 0, presumed: 0, leased: 0, beyond: 0 }

/** What one epoch takes from a cap. */
export function partOf(lease: LeaseBook | undefined): Part {
  if (lease === undefined) return nothing
  const { spent, beyond, held, silent } = lease
  const left = lease.granted - lease.returned - (spent - beyond)
  if (lease.final) return { spent, presumed: held, leased: 0, beyond }
  if (lease.life.ended === 'released')
    return { spent, presumed: Math.max(held, Math.min(silent, left)), leased: 0, beyond }
  // A report may be read before the grant that it spends.
  return { spent, presumed: 0, leased: Math.max(left, held), beyond }
}

export function change(books: Books, node: string, of: Life, set: (lease: LeaseBook) => void): void {
  const lease = leaseOf(books, node, of)
  const before = partOf(lease)
  set(lease)
  rebook(books, node, lifeKey(of), before)
}

export function rebook(books: Books, node: string, key: string, before: Part): void {
  const book = nodeOf(books, node)
  const after = partOf(book.leases.get(key))
  book.spent += after.spent - before.spent
  book.presumed += after.presumed - before.presumed
  book.leased += after.leased - before.leased
  book.beyond += after.beyond - before.beyond
  books.dirty.add(node)
}

export function nodeOf(books: Books, node: string): NodeBook {
  const { nodes, shelf } = books
  const book = nodes.get(node) ?? shelf?.take(node) ?? openNode(books, node)
  if (shelf !== null && book.round !== shelf.round) {
    book.round = shelf.round
    shelf.changed.push(node)
  }
  return book
}

function openNode(books: Books, node: string): NodeBook {
  const sums = {
    spent: 0,
    presumed: 0,
    leased: 0,
    beyond: 0,
    exhausted: null,
    mintedBy: null,
    birthright: 0,
    cap: null,
    round: 0,
  }
  const maps = { leases: new Map(), corrections: new Map(), asks: new Map(), alerted: new Set<number>() }
  const book: NodeBook = { node, limit: null, ...maps, ...sums }
  books.nodes.set(node, book)
  return book
}

export function lifeOf(books: Books, { gateway, epoch }: Life): LifeBook {
  const key = lifeKey({ gateway, epoch })
  const known = books.lives.get(key)
  if (known !== undefined) return known
  const life: LifeBook = { gateway, epoch, beat: -1, acknowledged: -1, ended: 'no', nodes: new Set() }
  books.lives.set(key, life)
  return life
}

export function leaseOf(books: Books, node: string, of: Life): LeaseBook {
  const book = nodeOf(books, node)
  const known = book.leases.get(lifeKey(of))
  if (known !== undefined) return known
  const life = lifeOf(books, of)
  const totals = { granted: 0, spent: 0, beyond: 0, returned: 0, held: 0, silent: 0, report: -1 }
  const lease: LeaseBook = { life, ...totals, final: false, answered: -1, read: -1 }
  life.nodes.add(node)
  book.leases.set(lifeKey(of), lease)
  return lease
}
