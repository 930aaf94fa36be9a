import type { MoneyDecision } from '../../../schemas/control.ts'
import { type Books, lifeKey, type NodeBook } from '../../core/money/books.ts'
import { birthrightOf } from '../../core/money/budget.ts'
import type { Caps } from './caps.ts'

/** What takes from a cap, but for what providers billed beyond the holds. */
export const outOf = ({ spent, beyond, presumed, leased }: NodeBook): number => spent - beyond + presumed + leased

/** An epoch that was ended told afterwards what it had spent: that is the one sum that can pass a cap (decision 010). */
export const hasLateTruth = ({ leases }: NodeBook): boolean =>
  [...leases.values()].some(({ life }) => life.ended !== 'no')

/** What a decision says of a node, against what the log says there. */
export function standingWrong(own: Caps, decision: MoneyDecision): string | null {
  switch (decision.type) {
    case 'budget.exhausted':
    case 'budget.balance':
    case 'budget.threshold': {
      const book = own.look(decision.node)
      const pairs = [
        ['spent', decision.spent_nano_usd, book?.spent ?? 0],
        ['presumed', decision.presumed_nano_usd, book?.presumed ?? 0],
        ['limit', decision.limit_nano_usd, book?.limit?.nanoUsd ?? 0],
      ] as const
      const wrong = pairs.find(([, said, folded]) => said !== folded)
      if (wrong !== undefined) return `at ${decision.node} it says ${wrong[0]} ${wrong[1]}, the log says ${wrong[2]}`
      if (decision.type !== 'budget.exhausted') return null
      const {
        spent_nano_usd: spent,
        presumed_nano_usd: presumed,
        asked_nano_usd: asked,
        limit_nano_usd: limit,
      } = decision
      return spent + presumed + asked > limit
        ? null
        : `at ${decision.node} ${asked} nano-dollars were refused that fit: ${spent} spent, ${presumed} presumed of ${limit}`
    }
    default:
      return null
  }
}

/** Whether what was lent was there to be lent. */
export function grantWrong(
  { nodes }: Books,
  decision: MoneyDecision,
  mostOf: (book: NodeBook) => number | undefined,
): string | null {
  if (decision.type !== 'lease.granted') return null
  const book = nodes.get(decision.node) // where it was just booked
  if (book === undefined || book.limit === null) return null
  const most = mostOf(book) ?? book.limit.nanoUsd
  // By birth a life may spend before it is heard of; what it has of a cap that was lowered since, it has.
  const isBirthright =
    book.mintedBy !== null &&
    lifeKey(book.mintedBy) === lifeKey(decision) &&
    decision.granted_nano_usd <= Math.max(book.birthright, birthrightOf(most))
  const limit = isBirthright ? most : book.limit.nanoUsd
  return outOf(book) <= limit || (isBirthright && hasLateTruth(book))
    ? null
    : `at ${decision.node} a lease was granted that was not there: ${outOf(book)} out of ${limit} nano-dollars`
}
