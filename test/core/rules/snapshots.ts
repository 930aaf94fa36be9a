import type { Kept, Memory } from '../../../services/core/rules/kept.ts'
import type { ScopeId } from '../../../services/core/rules/rule.ts'

/** Everything that rules have in memory, as values: to hold it against another's, or to go on from it elsewhere. */
export type Snapshot = {
  readonly scopes: readonly (readonly [ScopeId, Kept])[]
  readonly heard: readonly (readonly [string, number])[]
}

/** Stays as it is while the rules go on. */
export const snapshot = ({ scopes, heard }: Memory): Snapshot => ({
  scopes: Array.from(scopes, ([scope, kept]) => [scope, structuredClone(kept)] as const),
  heard: [...heard],
})

/** Goes on where a snapshot ended, under the policy that the rules were opened with. */
export function restore(rules: Memory, { scopes, heard }: Snapshot): void {
  rules.scopes.clear()
  rules.heard.clear()
  adopt(rules, scopes)
  for (const [life, sequence] of heard) rules.heard.set(life, sequence)
}

/** Takes up again what was evicted; what is known of a scope meanwhile is newer and stays. */
export function adopt(rules: Memory, scopes: Snapshot['scopes']): void {
  for (const [scope, kept] of scopes) if (!rules.scopes.has(scope)) rules.scopes.set(scope, structuredClone(kept))
}
