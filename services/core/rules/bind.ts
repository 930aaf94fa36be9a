import type { Action, Breakers, Knobs, RuleName, ScopeKind } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import type { Armed, Rule, Ruling, ScopeId, Seen } from './rule.ts'

/** A rule with its knobs. */
export type Bound = {
  readonly name: RuleName
  readonly scope: ScopeKind
  readonly mode: 'enforce' | 'shadow'
  readonly backoffMs: number
  /** Its lines, as a text to compare. */
  readonly lines: string
  readonly mayStop: boolean
  readonly sees: readonly Event['type'][]
  /** Where it is not simply the scope of that kind. */
  readonly scopes: ((seen: Seen) => readonly ScopeId[]) | null
  readonly fold: (states: Partial<Record<RuleName, Armed>>, seen: Seen, scope: ScopeId) => Ruling | null
}

export function bind<Name extends RuleName, State extends Armed>(
  rule: Rule<Name, State>,
  given: Breakers[Name],
): Bound | null {
  if (given === null) return null
  const knobs = given as Knobs<Name> // null was ruled out above
  const actions: readonly Action[] = knobs.stages?.map(({ action }) => action) ?? [knobs.action]
  const { scope: _scope, mode, backoffFor, ...lines } = knobs
  const { scopes } = rule
  return {
    name: rule.name,
    scope: knobs.scope,
    mode,
    backoffMs: backoffFor,
    lines: JSON.stringify(lines),
    mayStop: mode === 'enforce' && actions.some(action => action !== 'alert'),
    sees: rule.sees,
    scopes: scopes === undefined ? null : seen => scopes(seen, knobs),
    fold(states, seen, scope) {
      const known = (states[rule.name] as State | undefined) ?? null // only this rule puts states under its name
      const before = known?.peak ?? 0
      const state = rule.evolve(known, seen, knobs, scope)
      if (state === null) return null
      if (state !== known) states[rule.name] = state
      return state.peak > before ? rule.decide(before, state, seen, knobs) : null
    },
  }
}
