import type { RuleName } from '../../../schemas/breakers.ts'
import type { Armed, ScopeId } from './rule.ts'
import { emptyTrail, type Trail } from './step.ts'

/** What rules remember: of each scope its states, and how far each producer has been heard. Changed in place. */
export type Memory = {
  /** In the order in which they were first seen. */
  readonly scopes: Map<ScopeId, Kept>
  /** Of each partition and each life of a producer the last number heard, least recently begun first. */
  readonly heard: Map<string, number>
}

/** What is known of one scope. */
export type Kept = {
  /** Time of its latest event, Unix milliseconds. */
  at: number
  costNanoUsd: number
  /** Of a run. */
  trail: Trail
  readonly states: Partial<Record<RuleName, Armed>>
}

const limits = {
  /**
   * At two to four kilobytes each, half a gigabyte of live runs, agents and tools. Beyond it, of the scopes that have been
   * here longest those are forgotten that have been idle longest: a rule then begins afresh for them.
   */
  scopes: 200_000,
  /** Looked at for one that may go, whenever a new one does not fit. */
  candidates: 16,
  /** A fleet has tens of gateways; each has a life for each of its starts, and writes to a dozen partitions. */
  lives: 10_000,
}

export function keptOf(rules: Memory, scope: ScopeId, time: number): Kept {
  const known = rules.scopes.get(scope)
  if (known !== undefined) {
    if (time > known.at) known.at = time
    return known
  }
  if (rules.scopes.size >= limits.scopes) giveUpOne(rules)
  const kept: Kept = { at: time, costNanoUsd: 0, trail: emptyTrail, states: {} }
  rules.scopes.set(scope, kept)
  return kept
}

/** Of those that have been here longest the most idle; the others go to the end of the line. */
function giveUpOne({ scopes }: Memory): void {
  let idlest: ScopeId | null = null
  let idleAt = Number.POSITIVE_INFINITY
  const looked: (readonly [ScopeId, Kept])[] = []
  for (const entry of scopes) {
    if (looked.push(entry) === 1 || entry[1].at < idleAt) {
      idlest = entry[0]
      idleAt = entry[1].at
    }
    if (looked.length === limits.candidates) break
  }
  for (const [scope, kept] of looked) {
    scopes.delete(scope)
    if (scope !== idlest) scopes.set(scope, kept)
  }
}

/**
 * Within a partition the numbers of one life of a producer rise, whoever wrote them again. A foreign id says nothing of
 * order: it is always taken for new.
 */
export function wasHeard({ heard }: Memory, id: string, partition: number): boolean {
  const dot = id.lastIndexOf('.')
  const sequence = dot < 0 ? Number.NaN : Number(id.slice(dot + 1))
  if (!Number.isSafeInteger(sequence)) return false
  const life = `${partition}/${id.slice(0, dot)}`
  const last = heard.get(life)
  if (last !== undefined && sequence <= last) return true
  if (last === undefined && heard.size >= limits.lives) {
    const [oldest] = heard.keys()
    if (oldest !== undefined) heard.delete(oldest)
  }
  heard.set(life, sequence)
  return false
}

/** Everything that is known, as JSON. With the position up to which was folded it is all that a restart needs. */
export type Snapshot = {
  readonly format: 1
  readonly scopes: readonly (readonly [ScopeId, Kept])[]
  readonly heard: readonly (readonly [string, number])[]
}

/** States are values, so it stays as it is while the rules go on. */
export const snapshot = (rules: Memory): Snapshot => ({
  format: 1,
  scopes: Array.from(rules.scopes, ([scope, kept]) => [scope, { ...kept, states: { ...kept.states } }] as const),
  heard: [...rules.heard],
})

/** Goes on where a snapshot ended, under the policy that the rules were opened with. */
export function restore(rules: Memory, { scopes, heard }: Snapshot): void {
  rules.scopes.clear()
  rules.heard.clear()
  for (const [scope, kept] of scopes) rules.scopes.set(scope, { ...kept, states: { ...kept.states } })
  for (const [life, sequence] of heard) rules.heard.set(life, sequence)
}

/**
 * Gives up what was idle since before `before` (Unix ms) and gives it back, for `adopt` to take up again. With `before`
 * further back than the longest window, what is lost if nobody does is streaks of scopes that idle longer than that.
 */
export function evict(rules: Memory, before: number): Snapshot['scopes'] {
  const idle = [...rules.scopes].filter(([, { at }]) => at < before)
  for (const [scope] of idle) rules.scopes.delete(scope)
  return idle
}

/** Takes up again what was evicted; what is known of a scope meanwhile is newer and stays. */
export function adopt(rules: Memory, scopes: Snapshot['scopes']): void {
  for (const [scope, kept] of scopes) if (!rules.scopes.has(scope)) rules.scopes.set(scope, kept)
}

/** A scope begins afresh, as a run does by `run.resumed`; what it has cost it has cost. */
export function forget({ scopes }: Memory, scope: ScopeId): void {
  const kept = scopes.get(scope)
  if (kept !== undefined) scopes.set(scope, { ...kept, trail: emptyTrail, states: {} })
}
