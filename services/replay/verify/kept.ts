import type { NodeBook } from '../../core/money/books.ts'
import { booksFromHead, type KeptHead, type KeptNode } from '../../core/money/books-kept.ts'
import { type Caps, openCaps } from './caps.ts'
import { type Check, differ } from './check.ts'
import type { Aside } from './drawer.ts'

/** What an enforcer keeps on its disk, as of one moment. */
export type Kept = { readonly head: KeptHead; readonly nodes: Aside<KeptNode> }

export const capsKept = ({ head, nodes }: Kept): Caps => openCaps(booksFromHead(head), nodes)

/**
 * What an enforcer keeps, against the log folded as far as it had read and no further: what it goes on from after a restart
 * is what it decides by.
 */
export function compareKept(check: Check, kept: Kept, folded: Caps): void {
  const theirs = capsKept(kept)
  const compare = (node: string, there: NodeBook | undefined, here: NodeBook | undefined): void => {
    check.compared += 1
    const [said, sums] = [sumsOf(there), sumsOf(here)]
    for (const [name, sum] of Object.entries(said))
      if (sum !== sums[name]) differ(check, node, `${name} is ${sum} there, the log says ${sums[name] ?? 'nothing'}`)
  }
  for (const there of theirs.all()) compare(there.node, there, folded.look(there.node))
  for (const here of folded.all()) if (theirs.look(here.node) === undefined) compare(here.node, undefined, here)
}

type Sums = Pick<NodeBook, 'spent' | 'presumed' | 'leased' | 'beyond' | 'limit'>

function sumsOf(book: Sums | undefined): Readonly<Record<string, number | null>> {
  const { spent = 0, presumed = 0, leased = 0, beyond = 0, limit = null } = book ?? {}
  return { spent, presumed, leased, beyond, limit: limit?.nanoUsd ?? null }
}
