import { type Books, lifeKey, type NodeBook } from '../../core/money/books.ts'
import { type KeptNode, keepNode, takeNode } from '../../core/money/books-kept.ts'
import type { Aside } from './drawer.ts'

/** All caps of which books tell; of most of them nobody has spoken for long, and they lie aside. */
export type Caps = {
  readonly books: Books
  /** As it is now. What is found must not be changed. */
  readonly look: (node: string) => NodeBook | undefined
  readonly all: () => Iterable<NodeBook>
  /** To be called between messages, as often as one likes. */
  readonly tidy: () => void
}

/** So many more than were spoken of lately are in memory, at a kilobyte and a half each. */
const inMemory = 20_000

/** @param aside what these books know already; what idles is put there */
export function openCaps(books: Books, aside: Aside<KeptNode>, most = inMemory): Caps {
  const shelf = {
    changed: [] as string[], // nobody looks at it here
    round: 1,
    take(node: string): NodeBook | null {
      const kept = aside.look(node)
      return kept === null ? null : takeNode(books, kept)
    },
  }
  books.shelf = shelf
  let due = most
  const letGo = ({ node, leases }: NodeBook): void => {
    for (const { life } of leases.values()) books.lives.get(lifeKey(life))?.nodes.delete(node)
    books.nodes.delete(node)
  }
  /** Its sums are made anew: what its lives have come to meanwhile counts. */
  const shown = (kept: KeptNode): NodeBook => {
    const book = takeNode(books, kept)
    letGo(book)
    books.dirty.delete(book.node)
    return book
  }
  return {
    books,
    look(node) {
      const book = books.nodes.get(node)
      if (book !== undefined) return book
      const kept = aside.look(node)
      return kept === null ? undefined : shown(kept)
    },
    *all() {
      yield* books.nodes.values()
      for (const [node, kept] of aside.all()) if (!books.nodes.has(node)) yield shown(kept)
    },
    tidy() {
      books.dirty.clear()
      books.unheard.clear()
      if (books.nodes.size < due) return
      for (const book of books.nodes.values()) {
        if (book.round === shelf.round) continue
        aside.put(book.node, keepNode(book))
        letGo(book)
      }
      shelf.round += 1
      shelf.changed = []
      due = books.nodes.size + most
    },
  }
}
