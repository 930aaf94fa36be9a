import type { Event } from '../../../schemas/events.ts'
import type { RuleSignal } from '../../../schemas/signal.ts'
import { signalId } from '../../../schemas/stop.ts'
import type { Bound } from './bind.ts'
import type { Kept } from './kept.ts'
import { evidenceKept, type Ruling, type ScopeId } from './rule.ts'

/** A ruling as it is told: who is meant, by which policy, at what cost so far. */
export function signalOf(
  version: string,
  { name, mode, backoffMs }: Bound,
  { line, evidence, data }: Ruling,
  scope: ScopeId,
  { costNanoUsd }: Kept,
  event: Event,
): RuleSignal {
  return {
    id: signalId(name, scope, event.id),
    rule: name,
    scope,
    action: line.action,
    mode,
    ...(line.action === 'backoff' ? { backoff_ms: backoffMs } : {}),
    time: event.time,
    ...placeOf(scope, event),
    agent: event.agent,
    ...(event.team === undefined ? {} : { team: event.team }),
    // A rate may cross its line by a call that is no evidence itself: it is what made the rule speak, all the same.
    // A copy in either case, for the rule goes on with its own.
    evidence: (evidence.at(-1) === event.id ? evidence : [...evidence, event.id]).slice(-evidenceKept),
    policy_version: version,
    cost_nano_usd: costNanoUsd,
    data,
  }
}

/** The run that is spoken of: the scope's own, which for a storm of children is one above the event's. */
function placeOf(scope: ScopeId, event: Event) {
  const { run_id, root_run_id, parent_run_id, ancestors } = event
  const own = scope.startsWith('run:') ? scope.slice(4) : run_id
  if (own === run_id)
    return {
      run_id,
      root_run_id,
      ...(parent_run_id === undefined ? {} : { parent_run_id }),
      ...(ancestors === undefined ? {} : { ancestors }),
    }
  const above = (ancestors ?? []).slice(0, Math.max(0, (ancestors ?? []).indexOf(own)))
  const parent = above.at(-1)
  return {
    run_id: own,
    root_run_id,
    ...(parent === undefined ? {} : { parent_run_id: parent }),
    ...(above.length === 0 ? {} : { ancestors: above }),
  }
}
