import type { Alert } from '../../../schemas/alert.ts'
import type { Event } from '../../../schemas/events.ts'
import type { RuleSignal } from '../../../schemas/signal.ts'
import { isStop, type Signal, signalId } from '../../../schemas/stop.ts'
import { defined } from '../defined.ts'
import { decidedKept, type Stops } from './stops.ts'

/**
 * What the enforcer decides about scopes: by facts in which somebody asked for it, and by rules. It folds what it decided
 * into its `Stops` before it decides again, so that versions rise.
 */
export type Decided = {
  /** The event's id and time (Unix ms): functions of the cause, so what is decided again is the same record. */
  readonly id: string
  readonly time: number
  readonly signal: Signal
}
export type Alerted = { readonly id: string; readonly time: number; readonly alert: Alert }

/** What somebody or some rule wants of a scope. Give a `rule` or an `actor`. */
export type Wish = Omit<Signal, 'data' | 'mode' | 'evidence' | 'action'> & {
  readonly mode?: Signal['mode']
  readonly evidence?: readonly string[]
  /** Id of the event that crossed the line. */
  readonly cause: string
  /** Its time, Unix milliseconds. */
  readonly at: number
  /** Of a backoff: Unix milliseconds. */
  readonly until?: number
  readonly facts?: Readonly<Record<string, unknown>>
}

/** Null where the same was decided before. */
export function decide(stops: Stops, wish: Wish): Decided | null {
  const { cause, at, until, facts, mode = 'enforce', evidence = [cause], ...about } = wish
  const id = signalId(about.rule ?? `act-${about.type}`, about.scope, cause)
  const known = stops.get(about.scope)
  if (known?.decided.includes(id)) return null
  const signal: Signal = {
    ...about,
    action: about.type,
    mode,
    evidence: [...evidence],
    data: {
      version: (known?.version ?? 0) + 1,
      cause,
      ...(until === undefined ? {} : { until }),
      ...(facts === undefined ? {} : { facts }),
      decided: [...(known?.decided ?? []), id].slice(-decidedKept),
    },
  }
  return { id, time: at, signal }
}

/** What a rule wants. Its cause is the event that crossed the line, the last of its evidence. */
export function wishOf(signal: RuleSignal): Wish {
  const { rule, scope, action, mode, backoff_ms, time, evidence, cost_nano_usd, data, policy_version } = signal
  const { run_id, root_run_id, parent_run_id, ancestors, team, agent } = signal
  return {
    type: action,
    scope,
    rule,
    mode,
    ...defined({ run_id, root_run_id, parent_run_id, ancestors, team, agent, policy_version }),
    evidence,
    cause: evidence.at(-1) ?? signal.id,
    at: time,
    ...(backoff_ms === undefined ? {} : { until: time + backoff_ms }),
    facts: { ...data, cost_nano_usd },
  }
}

/** Whose word a fact about a run is, where it is a rule's: a gateway wrote it after the decision, it is none to decide by. */
export const byRule = (rule: string): string => `rule:${rule}`

/** The run whose time is up is killed by this rule. */
export const durationRule = 'maxDurationMs'

/** The facts in which somebody asks for something: all others decide nothing. */
export const acts: ReadonlySet<Event['type']> = new Set([
  'run.paused',
  'run.resumed',
  'run.killed',
  'run.expired',
  'scope.paused',
  'scope.resumed',
  'scope.killed',
])

/** What a fact on events decides: each pause, resume and kill that somebody asked for, and the end of a run's time. */
export function decideActs(stops: Stops, event: Event): Decided | null {
  switch (event.type) {
    case 'run.paused':
    case 'run.resumed':
    case 'run.killed':
    case 'run.expired': {
      const { actor } = event
      if (actor === undefined || actor.startsWith(byRule(''))) return null
      const expired = event.type === 'run.expired'
      return decide(stops, {
        type: expired || event.type === 'run.killed' ? 'kill' : event.type === 'run.paused' ? 'pause' : 'resume',
        scope: `run:${event.run_id}`,
        ...placeOf(event),
        ...(expired ? { rule: durationRule, reason: 'run_expired' } : { actor }),
        ...(event.reason === undefined || expired ? {} : { reason: event.reason }),
        ...(expired ? {} : { facts: defined({ actor, reason: event.reason }) }),
        cause: event.id,
        at: event.time,
      })
    }
    case 'scope.paused':
    case 'scope.resumed':
    case 'scope.killed': {
      const { scope, actor, reason, agent, policy_version } = event
      return decide(stops, {
        type: event.type === 'scope.killed' ? 'kill' : event.type === 'scope.paused' ? 'pause' : 'resume',
        scope,
        actor,
        ...defined({ reason, policy_version, agent: agent === '' ? undefined : agent }),
        facts: defined({ actor, reason }),
        cause: event.id,
        at: event.time,
      })
    }
    default:
      return null
  }
}

/** What people are told of a decision. */
export function alertsOf({ time, signal }: Decided): readonly Alerted[] {
  if (!isStop(signal) || (signal.type !== 'kill' && signal.type !== 'pause') || signal.rule === durationRule) return []
  const type = signal.type === 'kill' ? 'run.killed' : 'run.paused'
  const { scope, run_id, agent, rule, action, mode, evidence, policy_version, actor, reason, data } = signal
  const alert: Alert = {
    type,
    scope,
    ...defined({ run_id, agent, rule, action, mode, policy_version }),
    evidence,
    data: { ...data.facts, ...defined({ actor, reason }), version: data.version },
  }
  return [{ id: `${data.cause}/${scope}/${rule ?? 'act'}:${type}`, time, alert }]
}

const placeOf = (event: Event) =>
  defined({
    run_id: event.run_id,
    root_run_id: event.root_run_id,
    parent_run_id: event.parent_run_id,
    ancestors: event.ancestors,
    team: event.team,
    agent: event.agent,
    policy_version: event.policy_version,
  })
