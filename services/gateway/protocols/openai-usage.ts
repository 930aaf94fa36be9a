import type { Usage } from '../../../schemas/llm.ts'
import { type Findings, noExtras } from './findings.ts'
import { count, get, isObject } from './json.ts'

/** Takes a usage object of Chat Completions, Responses or embeddings, and whatever look-alikes put in there. */
export function takeUsage(found: Findings, usage: unknown): void {
  if (!isObject(usage)) return
  found.rawUsage = usage
  found.usage = usageOf(usage)
  found.extras = extrasOf(usage)
  const cost = costOf(get(usage, 'cost'))
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
  const inputAudio = count(get(get(usage, 'prompt_tokens_details'), 'audio_tokens'))
  const outputAudio = count(get(get(usage, 'completion_tokens_details'), 'audio_tokens'))
  const cached = count(get(usage, 'num_cached_tokens')) ?? count(get(usage, 'cached_tokens'))
  if (!inputAudio && !outputAudio && !cached) return noExtras
  return {
    ...(inputAudio ? { input_audio_tokens: inputAudio } : {}),
    ...(outputAudio ? { output_audio_tokens: outputAudio } : {}),
    ...(cached ? { cache_read_tokens: cached } : {}),
  }
}

/** What the vendor bills, in US dollars: OpenRouter a number, Perplexity an object. */
function costOf(cost: unknown): number | null {
  const usd = isObject(cost) ? get(cost, 'total_cost') : cost
  return typeof usd === 'number' && Number.isFinite(usd) && usd >= 0 ? usd : null
}
