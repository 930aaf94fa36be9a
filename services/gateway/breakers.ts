import type { Breakers } from '../../schemas/breakers.ts'
import type { Envelope } from '../../schemas/envelope.ts'
import type { Continued, Event, Fact } from '../../schemas/events.ts'
import type { LlmCompleted } from '../../schemas/llm.ts'
import type { RuleSignal } from '../../schemas/signal.ts'
import { isAnew } from '../core/rules/step.ts'
import { evict, fold, forget, replace, runRules } from '../core/rules.ts'

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
      // One fold for whole facts and for those that go on from an opening: both are events of the union.
      const event = (
        'opening' in fact
          ? { ...envelope, ...fact.opening.fields, ...fact.own, type: fact.type }
          : { ...envelope, ...fact }
      ) as Event
      for (const signal of fold(rules, event)) ruled(signal)
    },
    follow: (policy, version) => replace(rules, policy, version),
    resumed: scope => forget(rules, scope),
    evict: before => void evict(rules, before),
  }
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
