import type { Budget } from '../../schemas/budget.ts'
import type { Policy } from '../../schemas/policy.ts'

/**
 * What the policy lets a scope spend: `agent:<name>`, `team:<name>`, and `run:<id>` for a run that was given no budgets of
 * its own. None for scopes that the policy has no cap for.
 */
export function budgetsOf(policy: Pick<Policy, 'agents' | 'teams' | 'runs'>, scope: string): readonly Budget[] {
  const colon = scope.indexOf(':')
  const name = scope.slice(colon + 1)
  switch (scope.slice(0, colon)) {
    case 'agent':
      return policy.agents.get(name)?.budgets ?? []
    case 'team':
      return policy.teams.get(name)?.budgets ?? []
    case 'run':
      return policy.runs.defaults.budgets
    default:
      return []
  }
}
