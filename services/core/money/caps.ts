import type { Budget } from '../../../schemas/budget.ts'
import type { BudgetNode } from './budget.ts'
import { nameOf, type Window, windowAt } from './window.ts'

/** Who may spend what, as far as the policy says it; what a run may spend stands in its own events. */
export type Caps = {
  readonly org: { readonly budgets: readonly Budget[] }
  readonly teams: ReadonlyMap<string, { readonly budgets: readonly Budget[] }>
  readonly agents: ReadonlyMap<string, { readonly team?: string | undefined; readonly budgets: readonly Budget[] }>
}

export type Capped = {
  readonly id: string
  readonly budgets: readonly Budget[]
  /** Of a run: how often its budgets were changed. */
  readonly version?: number
  /** Of a run: its name was given by whoever asks, who pays for a call of it for the first time. */
  readonly isNew?: boolean
}

/** The capped scopes above a run of this agent: agent, team, org. */
export function cappedAbove({ org, teams, agents }: Caps, agent: string): readonly Capped[] {
  const policy = agents.get(agent)
  const team = policy?.team
  return [
    { id: `agent:${agent}`, budgets: policy?.budgets ?? [] },
    ...(team === undefined ? [] : [{ id: `team:${team}`, budgets: teams.get(team)?.budgets ?? [] }]),
    { id: 'org', budgets: org.budgets },
  ].filter(({ budgets }) => budgets.length > 0)
}

/** The budgets of a scope that the policy names; null for a run, of which it says nothing. */
export function budgetsOf({ org, teams, agents }: Caps, scope: string): readonly Budget[] | null {
  if (scope === 'org') return org.budgets
  if (scope.startsWith('agent:')) return agents.get(scope.slice(6))?.budgets ?? []
  if (scope.startsWith('team:')) return teams.get(scope.slice(5))?.budgets ?? []
  return null
}

/** The scope whose cap a node is: what stands before its window. */
export const scopeOfNode = (node: string): string => node.slice(0, slashOf(node))

/** A zone's name may hold a slash, but it stands behind the time at which the window opens. */
function slashOf(node: string): number {
  return node.endsWith('/life') ? node.length - 5 : node.lastIndexOf('/', node.lastIndexOf('@'))
}

export type NodeCap = Pick<BudgetNode, 'limitNanoUsd' | 'opensAt' | 'closesAt'> & {
  readonly alertAt: readonly number[]
}

/**
 * What these budgets of its scope say of a node; null where none of them has this window. Leases are asked for in the
 * window that runs, and a little before it opens and after it closed.
 */
export function capOfNode(node: string, budgets: readonly Budget[], now: number): NodeCap | null {
  const id = node.slice(slashOf(node) + 1)
  const name = id === 'life' ? null : id.slice(0, id.indexOf('@'))
  const inForce = budgets.flatMap(budget => {
    const sameSpan = (budget.window === null ? null : nameOf(budget.window)) === name
    const window = sameSpan ? windowNear(budget, id, now) : null
    return window === null ? [] : [{ budget, window }]
  })
  const first = inForce[0]
  if (first === undefined) return null
  const { opensAt, closesAt } = first.window
  const limitNanoUsd = Math.min(...inForce.map(({ budget }) => budget.limitNanoUsd))
  return { limitNanoUsd, opensAt, closesAt, alertAt: inForce.flatMap(({ budget }) => budget.alertAt) }
}

function windowNear(budget: Budget, id: string, now: number): Window | null {
  const runs = windowAt(budget, now)
  if (runs.id === id || runs.closesAt === null) return runs.id === id ? runs : null
  const near = [windowAt(budget, runs.closesAt), windowAt(budget, runs.opensAt - 1)]
  return near.find(window => window.id === id) ?? null
}
