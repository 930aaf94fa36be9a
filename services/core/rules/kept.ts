import type { RuleName } from '../../../schemas/breakers.ts'
import type { Armed, ScopeId } from './rule.ts'
import type { Trail } from './step.ts'

/** What rules remember: of each scope its states, and how far each producer has been heard. Changed in place. */
export type Memory = {
  /** In the order in which they were first seen. */
  readonly scopes: Map<ScopeId, Kept>
  /** Of each partition and each life of a producer the last number heard, least recently begun first. */
  readonly heard: Map<string, number>
  /** Where that is which memory has let go; null: nowhere. */
  shelf: Shelf | null
}

/** Whoever keeps what is known on a disk: what is asked for again is taken from there, and it is told what is new. */
export type Shelf = {
  readonly take: (scope: ScopeId) => Kept | null
  /** Told of each scope before it changes for the first time in a round. */
  readonly changes: (scope: ScopeId) => void
  /** Scopes that are to be forgotten. It empties it. */
  gone: Set<ScopeId>
  /** Rises whenever it begins to keep what has changed. */
  round: number
}

/** What is known of one scope. */
export type Kept = {
  /** Time of its latest event, Unix milliseconds. */
  at: number
  costNanoUsd: number
  /** Of a run that has made a step. */
  trail: Trail | null
  /** The shelf's, in which it was told that this has changed. */
  round: number
  states: Partial<Record<RuleName, Armed>>
}

const limits = {
  /**
   * At two to four kilobytes each, half a gigabyte of live runs, agents and tools. Beyond it, of the scopes that have been
   * here longest those are forgotten that have been idle longest: a rule then begins afresh for them, or as they were kept.
   */
  scopes: 200_000,
  /** Looked at for one that may go, whenever a new one does not fit. */
  candidates: 16,
  /** A fleet has tens of gateways; each has a life for each of its starts, and writes to a dozen partitions. */
  lives: 10_000,
}

export function keptOf(rules: Memory, scope: ScopeId, time: number): Kept {
  const kept = rules.scopes.get(scope) ?? taken(rules, scope)
  const { shelf } = rules
  if (shelf !== null && kept.round !== shelf.round) {
    kept.round = shelf.round
    shelf.changes(scope)
  }
  if (time > kept.at) kept.at = time
  return kept
}

function taken(rules: Memory, scope: ScopeId): Kept {
  const { scopes, shelf } = rules
  if (scopes.size >= limits.scopes) giveUpOne(rules)
  // What was forgotten since it was kept is not there any more.
  const known = shelf === null || shelf.gone.delete(scope) ? null : shelf.take(scope)
  const kept = known ?? { at: 0, costNanoUsd: 0, trail: null, round: 0, states: {} }
  scopes.set(scope, kept)
  return kept
}

/** Of a run that has ended nothing more is expected. */
export function dismiss({ scopes, shelf }: Memory, scope: ScopeId): void {
  scopes.delete(scope)
  shelf?.gone.add(scope)
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

/**
 * Gives up what was idle since before `before` (Unix ms), and tells what that was. With `before` further back than the
 * longest window, what is lost is streaks of scopes that idle longer than that.
 */
export function evict(rules: Memory, before: number): readonly (readonly [ScopeId, Kept])[] {
  const idle = [...rules.scopes].filter(([, { at }]) => at < before)
  for (const [scope] of idle) rules.scopes.delete(scope)
  return idle
}

/** A scope begins afresh, as a run does by `run.resumed`; what it has cost it has cost. */
export function forget(rules: Memory, scope: ScopeId): void {
  if (!isKnown(rules, scope)) return
  const kept = keptOf(rules, scope, 0)
  kept.trail = null
  kept.states = {}
}

const isKnown = ({ scopes, shelf }: Memory, scope: ScopeId): boolean =>
  scopes.has(scope) || (shelf !== null && !shelf.gone.has(scope) && shelf.take(scope) !== null)
