import type { Breakers } from '../../../schemas/breakers.ts'
import type { Envelope } from '../../../schemas/envelope.ts'
import type { Continued, Event, Fact } from '../../../schemas/events.ts'
import type { LlmCompleted } from '../../../schemas/llm.ts'
import type { RuleSignal } from '../../../schemas/signal.ts'
import { evict, fold, forget, replace, runRules } from '../../core/rules/rules.ts'
import { isAnew } from '../../core/rules/step.ts'

/**
 * The rules whose scope is one run, folded over what this gateway says itself: so the request that carries the evidence is
 * refused already, and does not wait for the enforcer to come to the same signal by the same id.
 */
export type RunBreakers = {
  readonly see: (envelope: Envelope, fact: Fact | Continued) => void
  readonly follow: (policy: Breakers, version: string) => void
  /** A scope that was resumed begins afresh, wherever that was asked for. */
  readonly resumed: (scope: string) => void
  /** Gives up runs that were idle since before `before`, Unix ms. */
  readonly evict: (before: number) => void
}

export function openRunBreakers(policy: Breakers, version: string, ruled: (signal: RuleSignal) => void): RunBreakers {
  const rules = runRules(policy, version)
  return {
    see(envelope, fact) {
      if (isFirstWord(fact)) return
      for (const signal of fold(rules, eventOf(envelope, fact))) ruled(signal)
    },
    follow: (policy, version) => replace(rules, policy, version),
    resumed: scope => forget(rules, scope),
    evict: before => void evict(rules, before),
  }
}

/**
 * The event that a fact becomes. Of a model call, which has two of them, it is what rules look at and no more, written out:
 * to put all fields together takes ten times as long.
 */
export function eventOf({ id, source, time }: Envelope, fact: Fact | Continued): Event {
  if (!('opening' in fact)) return { id, source, time, ...fact }
  const shared: Partial<LlmCompleted> = fact.opening.fields
  const own: Partial<LlmCompleted> = fact.own
  const { type } = fact
  const event =
    type === 'admission.granted'
      ? {
          id,
          source,
          time,
          type,
          agent: shared.agent,
          run_id: shared.run_id,
          request_id: shared.request_id,
        }
      : type === 'llm.completed'
        ? {
            id,
            source,
            time,
            type,
            agent: shared.agent,
            team: shared.team,
            run_id: shared.run_id,
            root_run_id: shared.root_run_id,
            parent_run_id: shared.parent_run_id,
            ancestors: shared.ancestors,
            run_source: shared.run_source,
            request_id: shared.request_id,
            operation: shared.operation,
            model_requested: shared.model_requested,
            model: own.model,
            provider: own.provider,
            outcome: own.outcome,
            reason: own.reason,
            error_type: own.error_type,
            attempts: own.attempts,
            latency_ms: own.latency_ms,
            ttft_ms: own.ttft_ms,
            input_tokens: own.input_tokens,
            output_tokens: own.output_tokens,
            cost_nano_usd: own.cost_nano_usd,
            data: own.data,
          }
        : { id, source, time, ...shared, ...own, type }
  return event as Event // what an opening and its own fields are together
}

/**
 * The first call of a run that nobody named says nothing to a rule of single runs, and most such runs have no second one:
 * to remember each would be most of what the rules cost, in time and in memory.
 */
function isFirstWord(fact: Fact | Continued): boolean {
  if (!('opening' in fact)) return false
  const { run_source, step }: { run_source?: unknown; step?: unknown } = fact.opening.fields
  if (run_source !== 'new' || step !== 1) return false
  if (fact.type === 'admission.granted') return true
  const { outcome, data }: { outcome?: unknown; data?: LlmCompleted['data'] } = fact.own
  return fact.type === 'llm.completed' && outcome === 'success' && isAnew({ run_source: 'new', data })
}
