import type { Balance } from '../../../schemas/balance.ts'
import type { Books, NodeBook } from './books.ts'
import { nodesOf } from './budget.ts'
import { type Caps, scopeOfNode } from './caps.ts'

/**
 * How each cap stands in the windows that run: those of the policy, spent from or not, and those of runs that the books
 * tell of. `books`: all that there are of the ledger, one for each owner. Ordered by scope: org, teams, agents, runs.
 */
export function balancesOf(books: readonly Books[], caps: Caps, now: number): readonly Balance[] {
  const known = new Map(books.flatMap(({ nodes }) => [...nodes]))
  const named = nodesOf(scopesOf(caps), now).map(({ node, scope, limitNanoUsd, closesAt }) =>
    balanceOf(node, scope, known.get(node), { limitNanoUsd, closesAt }),
  )
  const ofRuns = [...known.values()].flatMap(book => {
    const scope = scopeOfNode(book.node)
    const terms = scope.startsWith('run:') ? termsOf(book) : null
    if (terms === null || now < terms.opensAt || now >= (terms.closesAt ?? Number.POSITIVE_INFINITY)) return []
    return balanceOf(book.node, scope, book, terms)
  })
  return [...named, ...ofRuns].sort((a, b) => rank(a) - rank(b) || (a.node < b.node ? -1 : 1))
}

const scopesOf = ({ org, teams, agents }: Caps) => [
  { id: 'org', partition: 0, budgets: org.budgets },
  ...[...teams].map(([name, { budgets }]) => ({ id: `team:${name}`, partition: 0, budgets })),
  ...[...agents].map(([name, { budgets }]) => ({ id: `agent:${name}`, partition: 0, budgets })),
]

type Terms = { readonly limitNanoUsd: number; readonly closesAt: number | null }

/** A run's own: as its owner has decided, or as whoever asked first has told. */
function termsOf({ limit, cap }: NodeBook): (Terms & { readonly opensAt: number }) | null {
  if (limit !== null) return { limitNanoUsd: limit.nanoUsd, opensAt: limit.opensAt, closesAt: limit.closesAt }
  return cap === null ? null : { limitNanoUsd: cap.limit_nano_usd, opensAt: cap.opens_at, closesAt: cap.closes_at }
}

function balanceOf(node: string, scope: string, book: NodeBook | undefined, terms: Terms): Balance {
  const { spent = 0, presumed = 0, leased = 0, exhausted = null } = book ?? {}
  let held = 0
  for (const lease of book?.leases.values() ?? [])
    if (!lease.final && lease.life.ended !== 'released') held += lease.held
  return {
    node,
    scope,
    window: node.slice(scope.length + 1),
    limit_nano_usd: terms.limitNanoUsd,
    spent_nano_usd: spent,
    held_nano_usd: held,
    leased_nano_usd: leased,
    presumed_nano_usd: presumed,
    left_nano_usd: Math.max(0, terms.limitNanoUsd - spent - presumed - held),
    exhausted: exhausted !== null,
    resets_at: terms.closesAt,
  }
}

const kinds = ['org', 'team', 'agent', 'run']
const rank = ({ scope }: Balance): number => kinds.indexOf(scope.split(':')[0] ?? '')
