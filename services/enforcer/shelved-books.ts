import { type Books, type BooksShelf, lifeKey, type NodeBook, openBooks } from '../core/money/books.ts'
import { booksFromHead, type KeptHead, type KeptNode, keepHead, keepNode, takeNode } from '../core/money/books-kept.ts'
import { scopeOfNode } from '../core/money/caps.ts'
import type { Shelf } from './shelf.ts'

/**
 * The books of one owner, beyond this process's memory and life. In memory are the caps of the policy in the windows that
 * run, and of all others what was heard of lately; the rest is on the shelf, and comes back with the next word of it.
 */
export type ShelvedBooks = {
  readonly books: Books
  /** Keeps what has changed, as it is now: while none of the owner's decisions is on its way. One at a time. */
  readonly keep: () => Promise<void>
}

/** In memory for so many keeps after its last word: a minute and more. */
const keepsInMemory = 6

export const booksName = (partition: number): string => `books-${partition}-3`
export const booksLimits = {
  /** At half a kilobyte each, in two halves: three gigabytes of a disk. */
  rows: 3_000_000,
  /** As long as the ledger itself remembers: what was silent for so long a fold of the log would not know either. */
  idleMs: 30 * 24 * 3_600_000,
}

export function shelveBooks(partition: number, shelf: Shelf, now: () => number = Date.now): ShelvedBooks {
  const head = shelf.head() as KeptHead | null // as it was kept below
  const books = head === null ? openBooks(partition) : booksFromHead(head)
  const beyond: BooksShelf = {
    changed: [],
    round: 1,
    take(node) {
      const kept = shelf.take(node) as KeptNode | null // as it was kept below
      return kept === null ? null : takeNode(books, kept)
    },
  }
  books.shelf = beyond
  // Of these somebody may want to know without a word about them: their limits change with the policy.
  for (const [node, kept] of shelf.all('run:'))
    if (!isNobodys(node, (kept as KeptNode).limit, now())) takeNode(books, kept as KeptNode)

  return {
    books,
    async keep() {
      const isFull = shelf.isFull()
      const { changed } = beyond
      beyond.changed = []
      beyond.round += 1
      const rows = new Map<string, KeptNode>()
      // Caps of the policy stay in memory however long nobody speaks of them, and must not be let go here.
      for (const node of isFull ? books.nodes.keys() : changed) {
        const book = books.nodes.get(node)
        if (book !== undefined) rows.set(node, keepNode(book))
      }
      try {
        await shelf.keep(keepHead(books), [...rows])
      } catch (error) {
        beyond.changed.push(...changed)
        throw error
      }
      if (isFull) shelf.turn()
      for (const book of books.nodes.values()) if (mayGo(books, book, beyond.round, now())) letGo(books, book)
    },
  }
}

/** A window is asked about for some time after it closed. */
const closedForMs = 3_600_000

/** No cap that the policy names now: of a run, whose own words bring its cap along, or of a window that is over. */
const isNobodys = (node: string, limit: NodeBook['limit'], now: number): boolean =>
  scopeOfNode(node).startsWith('run:') || (limit?.closesAt ?? Number.POSITIVE_INFINITY) + closedForMs < now

function mayGo(books: Books, { node, round, asks, limit }: NodeBook, present: number, now: number): boolean {
  return round + keepsInMemory < present && asks.size === 0 && !books.dirty.has(node) && isNobodys(node, limit, now)
}

function letGo(books: Books, { node, leases }: NodeBook): void {
  for (const { life } of leases.values()) books.lives.get(lifeKey(life))?.nodes.delete(node)
  books.nodes.delete(node)
}
