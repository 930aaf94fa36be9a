import type { Books } from '../../services/core/money/books.ts'
import {
  booksFromHead,
  type KeptHead,
  type KeptNode,
  keepHead,
  keepNode,
  takeNode,
} from '../../services/core/money/books-kept.ts'

/** Books as they are kept, all of them at once. */
export type KeptBooks = KeptHead & { readonly nodes: readonly KeptNode[] }

export const keepBooks = (books: Books): KeptBooks => ({
  ...keepHead(books),
  nodes: Array.from(books.nodes.values(), keepNode),
})

export function booksFrom({ nodes, ...head }: KeptBooks): Books {
  const books = booksFromHead(head)
  for (const node of nodes) takeNode(books, node)
  return books
}
