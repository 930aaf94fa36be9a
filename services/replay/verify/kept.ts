import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LedgerMessage } from '../../../schemas/ledger.ts'
import { foldControl, foldLedger } from '../../core/money/booking.ts'
import { type NodeBook, openBooks } from '../../core/money/books.ts'
import type { KeptBooks } from '../../core/money/books-kept.ts'
import type { Place } from '../../core/money/position.ts'
import { type Check, differ } from './check.ts'

/**
 * What an enforcer keeps on its disk, against the log folded as far as it had read: what it goes on from after a restart
 * is what it decides by.
 */
export type Kept = {
  readonly told: (message: LedgerMessage, at: Place) => void
  readonly decided: (decision: MoneyDecision, offset: number) => void
  readonly compare: () => void
}

export function openKept(check: Check, kept: KeptBooks): Kept {
  const books = openBooks(kept.partition)
  return {
    told(message, at) {
      if (at.offset < (kept.ledgerNext[at.partition] ?? 0)) foldLedger(books, message, at)
    },
    decided(decision, offset) {
      if (offset < kept.controlNext) foldControl(books, decision, offset)
    },
    compare() {
      const theirs = new Map(kept.nodes.map(book => [book.node, book]))
      for (const node of new Set([...books.nodes.keys(), ...theirs.keys()])) {
        check.compared += 1
        const [folded, said] = [sumsOf(books.nodes.get(node)), sumsOf(theirs.get(node))]
        for (const [name, sum] of Object.entries(said))
          if (sum !== folded[name])
            differ(check, node, `${name} is ${sum} there, the log says ${folded[name] ?? 'nothing'}`)
      }
    },
  }
}

type Sums = Pick<NodeBook, 'spent' | 'presumed' | 'leased' | 'beyond' | 'limit'>

function sumsOf(book: Sums | undefined): Readonly<Record<string, number | null>> {
  const { spent = 0, presumed = 0, leased = 0, beyond = 0, limit = null } = book ?? {}
  return { spent, presumed, leased, beyond, limit: limit?.nanoUsd ?? null }
}
