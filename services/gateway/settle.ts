import type { Attempt, Ending, Outcome, Usage } from '../../schemas/llm.ts'
import type { Ask, Reading } from './protocols/protocol.ts'
import type { Try } from './upstream/exchange.ts'

/** What a call came to: how it ended, what was used, and who says so. Price and times are added by the pipeline. */
export type Settled = {
  readonly outcome: Outcome
  readonly reason: string | null
  readonly errorType: string | null
  readonly reading: Reading | null
  readonly usage: Usage
}

/** Operations whose answers are generated text, so that output tokens which nobody told must be estimated. */
export const generating: ReadonlySet<string> = new Set(['chat', 'generate_content', 'text_completion'])

export function settle(
  last: Try,
  call: { readonly operation: string; readonly ask: Ask; readonly requestBytes: number },
): Settled {
  switch (last.kind) {
    case 'failed':
      return ended('error', last.fault.code, last.fault.code, null, {})
    case 'left':
      // What the provider made before it was hung up on is billed, seen or not.
      return ended('cancelled', 'client_left', null, null, unseen(call))
    case 'stopped':
      return ended('killed', 'run_killed', null, null, last.sent ? unseen(call) : {})
    case 'whole':
      return whole(last.status, last.reading, call)
    case 'streamed':
      return streamed(last.how, last.fault?.code ?? null, last.reading, call)
    default:
      return last satisfies never
  }
}

type Call = { readonly operation: string; readonly ask: Ask; readonly requestBytes: number }

function whole(status: number, reading: Reading, call: Call): Settled {
  const errorType = reading.error?.type ?? null
  if (status >= 400) return ended('error', `http_${status}`, errorType, reading, reading.usage ?? {})
  if (reading.error !== null) return ended('error', 'error_in_answer', errorType, reading, usageOf(reading, call))
  if (!reading.complete)
    return ended('error', 'unreadable_answer', 'unreadable_answer', reading, usageOf(reading, call))
  return ended('success', null, null, reading, usageOf(reading, call))
}

type How = 'complete' | 'broken' | 'left' | 'stopped'

function streamed(how: How, fault: string | null, reading: Reading, call: Call): Settled {
  const usage = usageOf(reading, call)
  const errorType = reading.error?.type ?? null
  if (how === 'left') return ended('cancelled', 'client_left', null, reading, usage)
  if (how === 'stopped') return ended('killed', 'run_killed', null, reading, usage)
  if (how === 'broken') return ended('error', fault ?? 'upstream_reset', errorType ?? fault, reading, usage)
  if (reading.error !== null) return ended('error', 'error_in_stream', errorType, reading, usage)
  if (!reading.complete) return ended('error', 'incomplete_answer', 'incomplete_answer', reading, usage)
  return ended('success', null, null, reading, usage)
}

const ended = (
  outcome: Outcome,
  reason: string | null,
  errorType: string | null,
  reading: Reading | null,
  usage: Usage,
): Settled => ({
  outcome,
  reason,
  errorType,
  reading,
  usage,
})

/** The provider's word where it gave one; what it left out of a generated answer is estimated from what passed. */
function usageOf(reading: Reading, call: Call): Usage {
  if (!generating.has(call.operation) || reading.queued) return reading.usage === null ? {} : told(reading.usage)
  const usage = reading.usage ?? {}
  if (usage.input_tokens !== undefined && usage.output_tokens !== undefined && usage.output_tokens >= floorOf(reading))
    return told(usage)
  return {
    ...usage,
    input_tokens: usage.input_tokens ?? inputEstimate(call),
    output_tokens: Math.max(usage.output_tokens ?? 0, reading.estimatedOutputTokens),
    usage_source: 'estimated',
  }
}

/**
 * A stream that broke off may have told usage of its start only (Anthropic's `message_start` says one token or so): then
 * the text that passed is the better witness. A complete answer's own count always stands.
 */
const floorOf = (reading: Reading): number => (reading.complete ? 0 : reading.estimatedOutputTokens)

const told = (usage: Usage): Usage => ({ ...usage, usage_source: 'provider' })

/** Nothing of the answer was seen: the most that it can have been, where the client set a limit. */
function unseen(call: Call): Usage {
  if (!generating.has(call.operation)) return {}
  const input = { input_tokens: inputEstimate(call), usage_source: 'estimated' as const }
  return call.ask.maxTokens === null ? input : { ...input, output_tokens: call.ask.maxTokens * call.ask.choices }
}

/** Four bytes a token is near the mean of English text; JSON around it makes this more, not less. */
const inputEstimate = (call: Call): number => Math.ceil(call.requestBytes / 4)

/** What `settle` and the pipeline know, as the body of the call's row. */
export function endingOf(settled: Settled, facts: EndingFacts): Ending {
  const { usage, reading } = settled
  return {
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    cache_read_tokens: usage.cache_read_tokens,
    cache_write_tokens: usage.cache_write_tokens,
    reasoning_tokens: usage.reasoning_tokens,
    usage_source: usage.usage_source,
    model: reading?.model ?? facts.model ?? undefined,
    attempts: facts.attempts.length,
    cost_nano_usd: facts.cost?.costNanoUsd,
    price_version: facts.cost?.priceVersion,
    outcome: settled.outcome,
    reason: settled.reason ?? undefined,
    http_status: facts.httpStatus,
    upstream_status: facts.upstreamStatus ?? undefined,
    finish_reason: reading?.finishReason ?? undefined,
    error_type: settled.errorType ?? undefined,
    latency_ms: round(facts.latencyMs),
    ttft_ms: facts.ttftMs === null ? undefined : round(facts.ttftMs),
    gateway_us: Math.max(0, Math.round((facts.latencyMs - facts.upstreamMs) * 1000)),
    result_bytes: reading?.outputBytes,
  }
}

export type EndingFacts = {
  /** As it was asked for, where the answer does not name it. */
  readonly model: string | null
  readonly attempts: readonly Attempt[]
  readonly httpStatus: number
  readonly upstreamStatus: number | null
  readonly latencyMs: number
  readonly upstreamMs: number
  readonly ttftMs: number | null
  readonly cost: { readonly costNanoUsd: number; readonly priceVersion: string } | null
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000
