import { z } from 'zod'
import { protocolName, work } from './work.ts'

const count = z.number().int().nonnegative()

/**
 * Tokens as OpenTelemetry counts them: cached ones inside input, reasoning inside output. Absent is "the provider did
 * not say", never 0.
 */
export const usage = z.object({
  input_tokens: count.optional(),
  output_tokens: count.optional(),
  cache_read_tokens: count.optional(),
  cache_write_tokens: count.optional(),
  reasoning_tokens: count.optional(),
  /** `provider`: its own words · `counted`: counted from whole texts · `estimated`: bounded from what was seen. */
  usage_source: z.enum(['provider', 'counted', 'estimated']).optional(),
})
export type Usage = z.infer<typeof usage>

export const outcome = z.enum(['success', 'error', 'blocked', 'killed', 'cancelled', 'unanswered'])
export type Outcome = z.infer<typeof outcome>

/** One try at one upstream target. Latencies are milliseconds from the start of the try. */
export const attempt = z.object({
  n: z.number().int().positive(),
  provider: z.string(),
  model: z.string().optional(),
  status: z.number().int().optional(),
  error: z.string().optional(),
  latency_ms: z.number().nonnegative(),
  ttfb_ms: z.number().nonnegative().optional(),
})
export type Attempt = z.infer<typeof attempt>

/** What was called, known at admission. */
export const llmCall = work.extend({
  operation: z.string(),
  protocol: protocolName,
  provider: z.string().optional(),
  model_requested: z.string().optional(),
  stream: z.boolean().optional(),
})
export type LlmCall = z.infer<typeof llmCall>

/** How a call ended; the body of its one row in `calls`. Money is integer nano-dollars, absent where there is no price. */
export const ending = usage.extend({
  model: z.string().optional(),
  attempts: z.number().int().nonnegative().optional(),
  cost_nano_usd: z.number().int().nonnegative().optional(),
  price_version: z.string().optional(),
  outcome,
  reason: z.string().optional(),
  http_status: z.number().int().optional(),
  upstream_status: z.number().int().optional(),
  finish_reason: z.string().optional(),
  error_type: z.string().optional(),
  latency_ms: z.number().nonnegative().optional(),
  ttft_ms: z.number().nonnegative().optional(),
  gateway_us: count.optional(),
  queue_us: count.optional(),
  args: z.string().optional(),
  args_hash: z.string().optional(),
  result: z.string().optional(),
  result_hash: z.string().optional(),
  result_bytes: count.optional(),
  result_empty: z.boolean().optional(),
  decision: z.enum(['allow', 'deny']).optional(),
  rule: z.string().optional(),
})
export type Ending = z.infer<typeof ending>

/** Hashes of a conversation as far as it had come: its turns, the first, the last and all of them, and the answer. */
export const thread = z.object({
  length: count,
  glance: z.number().int().optional(),
  first: z.string(),
  last: z.string(),
  chain: z.string(),
  answer: z.string().nullable(),
  ids: z.array(z.string()).readonly(),
})

/** A model call ended, however it ended. `data.usage` is the provider's own object, `data.attempts` each try. */
export const llmCompleted = llmCall.extend(ending.shape).extend({
  type: z.literal('llm.completed'),
  response_id: z.string().optional(),
  data: z
    .object({
      usage: z.unknown().optional(),
      attempts: z.array(attempt).optional(),
      error: z.unknown().optional(),
      /** Where later requests can continue: what a gateway's next life ties them by. */
      thread: thread.optional(),
    })
    .optional(),
})
export type LlmCompleted = z.infer<typeof llmCompleted>

/** A background answer was accepted by the provider and is not finished: its row comes with its end. */
export const llmQueued = llmCall.extend({
  type: z.literal('llm.queued'),
  response_id: z.string(),
  model: z.string().optional(),
})
export type LlmQueued = z.infer<typeof llmQueued>
