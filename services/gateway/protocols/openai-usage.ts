import type { Usage } from '../../../schemas/llm.ts'
import { type Findings, noExtras } from './findings.ts'
import { count, get, isObject } from './json.ts'

/** Takes a usage object of Chat Completions, Responses or embeddings, and whatever look-alikes put in there. */
export function takeUsage(found: Findings, usage: unknown): void {
  if (!isObject(usage)) return
  found.rawUsage = usage
  found.usage = usageOf(usage)
  found.extras = extrasOf(usage)
  const cost = costOf(get(usage, 'cost')) ?? ticksOf(get(usage, 'cost_in_usd_ticks'))
  if (cost !== null) found.wireCostUsd = cost
}

function usageOf(usage: unknown): Usage {
  const told: Usage = {}
  const input = count(get(usage, 'prompt_tokens') ?? get(usage, 'input_tokens'))
  const output = count(get(usage, 'completion_tokens') ?? get(usage, 'output_tokens'))
  const inputDetails = get(usage, 'prompt_tokens_details') ?? get(usage, 'input_tokens_details')
  const outputDetails = get(usage, 'completion_tokens_details') ?? get(usage, 'output_tokens_details')
  // DeepSeek says how much of the prompt it had in its cache under a name of its own.
  const cacheRead = count(get(inputDetails, 'cached_tokens')) ?? count(get(usage, 'prompt_cache_hit_tokens'))
  const cacheWrite = count(get(inputDetails, 'cache_write_tokens'))
  const reasoning = count(get(outputDetails, 'reasoning_tokens'))
  if (input !== undefined) told.input_tokens = input
  if (output !== undefined) told.output_tokens = output + unseen(usage, input, output, reasoning)
  if (cacheRead !== undefined) told.cache_read_tokens = cacheRead
  if (cacheWrite !== undefined) told.cache_write_tokens = cacheWrite
  if (reasoning !== undefined) told.reasoning_tokens = reasoning
  return told
}

/** Some vendors (xAI) leave reasoning out of the output; then only the total tells: it is the sum of all three. */
function unseen(usage: unknown, input: number | undefined, output: number, reasoning: number | undefined): number {
  const total = count(get(usage, 'total_tokens'))
  if (!reasoning || input === undefined || total === undefined) return 0
  return total === input + output + reasoning ? reasoning : 0
}

/**
 * Mistral and Together tell cached tokens beside the usage fields of the protocol. They change the price, so they are kept
 * for it; the row keeps to the protocol's own fields.
 */
function extrasOf(usage: unknown): Readonly<Record<string, number>> {
  const input = get(usage, 'prompt_tokens_details') ?? get(usage, 'input_tokens_details')
  const output = get(usage, 'completion_tokens_details') ?? get(usage, 'output_tokens_details')
  let told = noExtras
  // Nearly all answers tell none of these.
  const take = (name: string, tokens: number | undefined): void => {
    if (tokens) told = { ...told, [name]: tokens }
  }
  take('input_audio_tokens', count(get(input, 'audio_tokens')))
  take('input_image_tokens', count(get(input, 'image_tokens')))
  take('output_audio_tokens', count(get(output, 'audio_tokens')))
  take('output_image_tokens', count(get(output, 'image_tokens')))
  take('cache_read_tokens', count(get(usage, 'num_cached_tokens')) ?? count(get(usage, 'cached_tokens')))
  return told
}

/** What the vendor bills, in US dollars: OpenRouter a number, Perplexity an object. */
function costOf(cost: unknown): number | null {
  const usd = isObject(cost) ? get(cost, 'total_cost') : cost
  return typeof usd === 'number' && Number.isFinite(usd) && usd >= 0 ? usd : null
}

/** xAI bills in ten-billionths of a dollar; its SDKs write such numbers as texts. */
function ticksOf(ticks: unknown): number | null {
  const told = typeof ticks === 'string' && /^\d{1,18}$/.test(ticks) ? Number(ticks) : ticks
  return typeof told === 'number' && Number.isFinite(told) && told >= 0 ? told / 1e10 : null
}
