import type { Breakers, RuleName, ScopeKind } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import type { RuleSignal } from '../../../schemas/signal.ts'
import { type Volatile, volatileOf } from './args.ts'
import { type Bound, bind } from './bind.ts'
import { cycle } from './cycle.ts'
import { deniedStreak } from './denied-streak.ts'
import { errorRate } from './error-rate.ts'
import { errorStreak } from './error-streak.ts'
import { dismiss, forget, type Kept, keptOf, type Memory, wasHeard } from './kept.ts'
import { latency } from './latency.ts'
import { loop } from './loop.ts'
import { nearRepeat } from './near-repeat.ts'
import { noProgress } from './no-progress.ts'
import { retryStorm } from './retry-storm.ts'
import { runScope, type ScopeId, type Seen, scopeOf } from './rule.ts'
import { signalOf } from './signal-of.ts'
import { spawnStorm } from './spawn-storm.ts'
import { follow, newTrail } from './step.ts'
import { bringUp, noTurns, type Turns, turn } from './turns.ts'
import { velocity } from './velocity.ts'

export { evict, forget } from './kept.ts'

/** Every breaker, and the order in which they speak of one event. */
const rulesOf = (policy: Breakers): readonly Bound[] =>
  [
    bind(loop, policy.loop),
    bind(cycle, policy.cycle),
    bind(noProgress, policy.noProgress),
    bind(nearRepeat, policy.nearRepeat),
    bind(errorStreak, policy.errorStreak),
    bind(errorRate, policy.errorRate),
    bind(latency, policy.latency),
    bind(spawnStorm, policy.spawnStorm),
    bind(retryStorm, policy.retryStorm),
    bind(deniedStreak, policy.deniedStreak),
    bind(velocity, policy.velocity),
  ].filter(bound => bound !== null)

/**
 * All rules over the events of many scopes. Has a lifetime, so it is changed in place, and so is what it holds of a scope.
 * One per reader of `sluice.events`: of a run's events all must come here, in the order of the log.
 */
export type Rules = Memory & {
  policy: Breakers
  /** Stands in each signal. */
  version: string
  readonly share: Share
  bound: readonly Bound[]
  byType: ReadonlyMap<Event['type'], readonly Group[]>
  volatile: Volatile
  turns: Turns
}

/**
 * Which of the rules are folded: `all`; those `of runs`, which need the events of a run's tree and no others; the `wide`
 * ones, which need those of all runs; and of those of runs the ones that may be `stopping` them. What `of runs` and `wide`
 * say is, together, what `all` say.
 */
export type Share = 'all' | 'of runs' | 'wide' | 'stopping'

/** Rules that look at one kind of scope, so that it is looked up once; `null`: those that name their scopes themselves. */
type Group = { readonly kind: ScopeKind | null; readonly bound: Bound[] }

/** @param version of the policy, named by each signal */
export function openRules(policy: Breakers, version: string, share: Share = 'all'): Rules {
  const memory: Memory = { scopes: new Map(), heard: new Map(), shelf: null }
  return { policy, version, share, ...boundBy(policy, share), ...memory, turns: noTurns() }
}

/**
 * The rules that a gateway folds by itself, over the events that it emits: those whose scope is one run and which may stop
 * it, for the request that carries the evidence is then refused already. All others are for whoever reads every event.
 */
export const runRules = (policy: Breakers, version: string): Rules => openRules(policy, version, 'stopping')

/**
 * Takes the next event. The same event again, from whatever earlier place of its partition, changes nothing and says
 * nothing.
 *
 * @param partition of `sluice.events` where it was read; a gateway that folds its own events has one
 */
export function fold(rules: Rules, event: Event, partition = 0): readonly RuleSignal[] {
  if (!hears(rules, event.type)) return silence
  const groups = rules.byType.get(event.type) ?? nobody
  const goesOn = steps.has(event.type)
  if (wasHeard(rules, event.id, partition)) return silence
  // Of a run that has ended nothing more is expected; and what led to a stop must not stop again what was resumed.
  if (over.has(event.type)) dismiss(rules, runScope(event.run_id))
  if (event.type === 'run.resumed') forget(rules, runScope(event.run_id))
  const run = goesOn ? keptFor(rules, runScope(event.run_id), event) : null
  const seen: Seen = run === null ? { event, step: null } : inLightOf(run, event, rules.volatile)
  const signals: RuleSignal[] = []
  const ask = (rule: Bound, scope: ScopeId, kept: Kept) => {
    const ruling = rule.fold(kept.states, seen, scope)
    if (ruling !== null) signals.push(signalOf(rules.version, rule, ruling, scope, kept, event))
  }
  for (const { kind, bound } of groups) {
    if (kind === null) {
      for (const rule of bound)
        for (const scope of rule.scopes?.(seen) ?? []) ask(rule, scope, keptFor(rules, scope, event))
      continue
    }
    const scope = scopeOf(event, kind)
    if (scope === null) continue
    const kept = run !== null && kind === 'run' ? run : keptFor(rules, scope, event)
    for (const rule of bound) ask(rule, scope, kept)
  }
  return signals.length === 0 ? silence : signals
}

/** Whether an event of this type is anything to the rules: what is not need not even be read. */
export const hears = ({ byType }: Rules, type: Event['type']): boolean =>
  steps.has(type) || byType.has(type) || turns.has(type)

/** From now on the rules go by this policy. What is known is kept, but for rules that now look at other scopes. */
export function replace(rules: Rules, policy: Breakers, version: string): void {
  const before = new Map(rules.bound.map(rule => [rule.name, rule]))
  Object.assign(rules, { policy, version, ...boundBy(policy, rules.share) })
  const gone = new Set(before.keys())
  const rearmed = new Set<RuleName>()
  for (const { name, scope, lines } of rules.bound) {
    const was = before.get(name)
    if (was?.scope === scope) gone.delete(name)
    // What has been said under other lines has not been said under these.
    if (was !== undefined && was.lines !== lines) rearmed.add(name)
  }
  if (gone.size === 0 && rearmed.size === 0) return
  turn(rules.turns, gone, rearmed)
  for (const kept of rules.scopes.values()) bringUp(kept, rules.turns, rules.turns.now - 1)
}

const silence: readonly RuleSignal[] = []
const nobody: readonly Group[] = []
/** Of these a run's trail is made, whether or not a rule sees them. */
const steps: ReadonlySet<Event['type']> = new Set([
  'admission.granted',
  'tool.called',
  'tool.returned',
  'agent.returned',
  'llm.completed',
])
const over: ReadonlySet<Event['type']> = new Set(['run.killed', 'run.finished', 'run.expired'])
const turns: ReadonlySet<Event['type']> = new Set([...over, 'run.resumed'])

/** What the event means to its run, whose trail it goes on. */
function inLightOf(run: Kept, event: Event, volatile: Volatile): Seen {
  run.trail ??= newTrail()
  return { event, step: follow(run.trail, event, volatile) }
}

/** To be asked for once for each scope that an event touches: what it has cost is added here. */
function keptFor(rules: Rules, scope: ScopeId, event: Event): Kept {
  const kept = keptOf(rules, scope, event.time)
  if ('cost_nano_usd' in event && event.cost_nano_usd !== undefined) kept.costNanoUsd += event.cost_nano_usd
  return kept
}

/** A storm of children looks at runs above the one that speaks, which are of the same tree. */
const isOf: Readonly<Record<Share, (rule: Bound) => boolean>> = {
  all: () => true,
  'of runs': ({ scope }) => scope === 'run',
  wide: ({ scope }) => scope !== 'run',
  stopping: ({ scope, mayStop }) => scope === 'run' && mayStop,
}

function boundBy(policy: Breakers, share: Share): Pick<Rules, 'bound' | 'byType' | 'volatile'> {
  const bound = rulesOf(policy).filter(isOf[share])
  const byType = new Map<Event['type'], Group[]>()
  for (const rule of bound)
    for (const type of rule.sees) {
      const groups = byType.get(type) ?? []
      byType.set(type, groups)
      const kind = rule.scopes === null ? rule.scope : null
      const group = groups.find(group => group.kind === kind)
      if (group === undefined) groups.push({ kind, bound: [rule] })
      else group.bound.push(rule)
    }
  return { bound, byType, volatile: volatileOf(policy.volatile) }
}
