import type { Usage } from '../../../schemas/llm.ts'

/**
 * Bedrock's four counts, whichever names they come by. Its input leaves out what was read from and written to the cache:
 * the whole input is the sum of the three.
 */
export function counted(told: {
  readonly input: number | undefined
  readonly output: number | undefined
  readonly read: number | undefined
  readonly write: number | undefined
}): Usage {
  const { input, output, read, write } = told
  const usage: Usage = {}
  if (input !== undefined) usage.input_tokens = input + (read ?? 0) + (write ?? 0)
  if (output !== undefined) usage.output_tokens = output
  if (read !== undefined) usage.cache_read_tokens = read
  if (write !== undefined) usage.cache_write_tokens = write
  return usage
}

/**
 * A model's own words, and where it is silent Bedrock's count. Who does not tell of a cache that Bedrock has seen has not
 * counted it as input either.
 */
export function completedBy(own: Usage | null, bedrock: Usage): Usage {
  if (own === null) return bedrock
  const silent = own.cache_read_tokens === undefined && own.cache_write_tokens === undefined
  const cached = (bedrock.cache_read_tokens ?? 0) + (bedrock.cache_write_tokens ?? 0) > 0
  const { output_tokens, ...inputs } = bedrock
  return silent && cached ? { ...bedrock, ...own, ...inputs } : { ...bedrock, ...own }
}
