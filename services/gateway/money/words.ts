/** Members of which a provider makes no more of the input than stands in them, in any protocol. What is not here, is more. */
const plain: ReadonlySet<string> = new Set([
  ...['model', 'stream', 'stream_options', 'include_usage', 'user', 'seed', 'n', 'stop', 'store', 'service_tier'],
  ...['messages', 'input', 'contents', 'parts', 'role', 'content', 'text', 'type', 'message', 'texts', 'input_type'],
  ...['system', 'instructions', 'systemInstruction', 'system_instruction'],
  ...['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'maxOutputTokens', 'maxTokens', 'candidateCount'],
  ...['temperature', 'top_p', 'top_k', 'topP', 'topK', 'p', 'k', 'stop_sequences', 'stopSequences', 'reasoning_effort'],
  ...['frequency_penalty', 'presence_penalty', 'generationConfig', 'generation_config', 'inferenceConfig'],
  ...['encoding_format', 'dimensions'],
])
/** A `type` that says that words follow. */
const wordTypes: ReadonlySet<unknown> = new Set(['text', 'input_text', 'output_text', 'message'])
/** In a longer conversation 2,048 tokens make no difference, and looking through it would. */
const looked = 256

/** Whether a request's document holds words and settings alone: nothing that stands for more than is written. */
export function isWords(document: unknown): boolean {
  let left = looked
  const holds = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return true
    if (--left < 0) return false
    if (Array.isArray(value)) return value.every(holds)
    for (const name in value) {
      const member = (value as Readonly<Record<string, unknown>>)[name] // an object can be asked for any key
      if (!plain.has(name) || !holds(member) || (name === 'type' && !wordTypes.has(member))) return false
    }
    return true
  }
  return typeof document === 'object' && document !== null && holds(document)
}
