import { LRUCache } from 'lru-cache'
import type { LlmCall, LlmQueued } from '../../../schemas/llm.ts'
import { defined } from '../../core/defined.ts'
import type { Call } from '../call.ts'
import type { Target } from '../policy/policies.ts'
import type { Settled } from '../settle.ts'

/**
 * Background answers that a provider has accepted and not finished. Whoever asks for one and sees its end books it, once,
 * under the call that began it.
 */
export type Queued = {
  put(call: Call, target: Target, settled: Settled): LlmQueued
  /** The call whose end this answer is; `poll` for an answer that ends nothing; null for an ordinary call. */
  take(call: Call, settled: Settled): Omit<LlmCall, 'type'> | 'poll' | null
  /** A provider holds this answer: whoever asks for it later is sent there. */
  hold(agent: string, responseId: string, provider: string): void
  providerOf(agent: string, responseId: string): string | null
  /** All that are waited for. */
  byRequest(): ReadonlyMap<string, LlmQueued>
  /** At start, from the log. */
  remember(fact: LlmQueued): void
  forget(agent: string, responseId: string): void
}

/** How an answer ends for which a provider may bill nothing. */
const unbilled = new Set(['cancelled', 'failed', 'incomplete'])

/** Far more than any fleet has in the background at once; what falls out is booked by nobody and stays `queued`. */
const waiting = 50_000

export function openQueued(): Queued {
  const queued = new LRUCache<string, LlmQueued>({ max: waiting })
  const holders = new LRUCache<string, string>({ max: waiting })
  const nameOf = (agent: string, responseId: string) => `${agent} ${responseId}`

  return {
    put(call, target, settled) {
      const fact: LlmQueued = {
        type: 'llm.queued',
        ...call.base,
        provider: target.provider.name,
        response_id: settled.reading?.responseId ?? '',
        ...defined({ model: settled.reading?.model ?? undefined }),
      }
      this.remember(fact)
      return fact
    },
    take(call, settled) {
      if (call.base.operation !== 'retrieve') return null
      const id = settled.reading?.responseId ?? call.door.matched.params['id'] ?? ''
      const known = queued.get(nameOf(call.base.agent, id))
      const { reading } = settled
      if (known === undefined || reading === null || reading.queued) return 'poll'
      if (reading.usage === null && !unbilled.has(reading.finishReason ?? '')) return 'poll'
      queued.delete(nameOf(call.base.agent, id))
      const { type, response_id, model, ...base } = known
      return base
    },
    hold: (agent, responseId, provider) => void holders.set(nameOf(agent, responseId), provider),
    providerOf: (agent, responseId) => holders.get(nameOf(agent, responseId)) ?? null,
    byRequest: () => new Map([...queued.values()].map(fact => [fact.request_id ?? '', fact])),
    remember(fact) {
      queued.set(nameOf(fact.agent, fact.response_id), fact)
      if (fact.provider !== undefined) this.hold(fact.agent, fact.response_id, fact.provider)
    },
    forget: (agent, responseId) => void queued.delete(nameOf(agent, responseId)),
  }
}
