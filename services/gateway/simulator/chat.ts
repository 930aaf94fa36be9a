import { isRecord, type Json, list, plainText, record, records, text, wholeNumber } from './json.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import {
  argumentsOf,
  chunksOf,
  lastWords,
  type Message,
  type Prompt,
  type ToolChoice,
  type Turn,
  type Usage,
} from './turn.ts'
import { type Asked, CREATED_S, type Problem, sse, type Wire } from './wire.ts'

/** More answers at once than anyone asks for. */
const MOST_CHOICES = 8

export const openaiProblem: Problem = (status, message) => ({
  error: {
    message,
    type: status === 429 ? 'requests' : status >= 500 ? 'server_error' : 'invalid_request_error',
    param: null,
    code: status === 404 ? 'model_not_found' : status === 429 ? 'rate_limit_exceeded' : null,
  },
})

/** OpenAI chat completions. */
export const chat: Wire = {
  read: ({ body }) => ({
    model: text(body.model),
    seed: digest(JSON.stringify([body.model, body.messages])),
    inputTokens: countTokens([body.messages, body.tools]),
    ...lastWords(messagesOf(records(body.messages))),
    tools: records(body.tools)
      .map(tool => record(tool.function))
      .filter(tool => text(tool.name) !== '')
      .map(tool => ({ name: text(tool.name), schema: tool.parameters })),
    choice: openaiChoice(body.tool_choice, record(record(body.tool_choice).function).name),
    format: record(record(body.response_format).json_schema).schema ?? null,
    maxTokens: wholeNumber(body.max_completion_tokens) ?? wholeNumber(body.max_tokens),
    stream: body.stream === true,
    choices: Math.min(Math.max(wholeNumber(body.n) ?? 1, 1), MOST_CHOICES),
  }),

  body: (_asked, prompt, turn) => ({
    ...head(prompt, turn, 'chat.completion'),
    choices: indices(prompt).map(index => ({
      index,
      message: {
        role: 'assistant',
        content: turn.calls.length > 0 ? null : turn.text,
        refusal: null,
        annotations: [],
        ...(turn.calls.length > 0 ? { tool_calls: calls(turn) } : {}),
      },
      logprobs: null,
      finish_reason: FINISH[turn.reason],
    })),
    ...(turn.usage === null ? {} : { usage: usageOf(turn.usage) }),
  }),

  *events(asked, prompt, turn) {
    const counted = record(asked.body.stream_options).include_usage === true
    const common = { ...head(prompt, turn, 'chat.completion.chunk') }
    const chunk = (choices: readonly unknown[], usage: unknown = null): string =>
      sse({ ...common, choices, ...(counted ? { usage } : {}) })
    const step = (index: number, delta: Json, finish: string | null = null): string =>
      chunk([{ index, delta, logprobs: null, finish_reason: finish }])
    const all = indices(prompt)
    for (const index of all)
      yield step(index, { role: 'assistant', content: turn.calls.length > 0 ? null : '', refusal: null })
    for (const content of chunksOf(turn.text, turn.chunkTokens)) for (const index of all) yield step(index, { content })
    for (const [i, call] of calls(turn).entries())
      for (const index of all) {
        const opening = { index: i, ...call, function: { name: call.function.name, arguments: '' } }
        yield step(index, { tool_calls: [opening] })
        for (const part of chunksOf(call.function.arguments, turn.chunkTokens))
          yield step(index, { tool_calls: [{ index: i, function: { arguments: part } }] })
      }
    for (const index of all) yield step(index, {}, FINISH[turn.reason])
    if (counted && turn.usage !== null) yield chunk([], usageOf(turn.usage))
    yield 'data: [DONE]\n\n'
  },

  streamType: () => 'text/event-stream; charset=utf-8',
  failure: () => sse(openaiProblem(503, 'The simulator was asked to fail here.')),
  problem: openaiProblem,
}

const FINISH = { stop: 'stop', calls: 'tool_calls', length: 'length' } as const

export const openaiChoice = (choice: unknown, name: unknown): ToolChoice => {
  if (isRecord(choice)) return text(name) === '' ? { kind: 'auto' } : { kind: 'tool', name: text(name) }
  return choice === 'none' ? { kind: 'none' } : { kind: choice === 'required' ? 'any' : 'auto' }
}

export const modelsList = (asked: Asked): unknown => {
  const one = { id: 'simulator', object: 'model', created: CREATED_S, owned_by: 'sluice' }
  return asked.path.endsWith('/models') ? { object: 'list', data: [one] } : one
}

const messagesOf = (messages: readonly Json[]): readonly Message[] => {
  const names = new Map<string, string>()
  for (const message of messages)
    for (const call of records(message.tool_calls)) names.set(text(call.id), text(record(call.function).name))
  return messages.map(message => {
    if (message.role !== 'tool' && message.role !== 'function')
      return { role: message.role === 'user' ? 'user' : 'other', text: plainText(message.content) }
    const name = text(message.name) || names.get(text(message.tool_call_id)) || 'tool'
    return { role: 'tool', results: [{ name, text: plainText(message.content) }] }
  })
}

const indices = (prompt: Prompt): readonly number[] => Array.from({ length: prompt.choices }, (_, index) => index)

const head = (prompt: Prompt, turn: Turn, object: string) => ({
  id: `chatcmpl-${turn.seed}`,
  object,
  created: CREATED_S,
  model: prompt.model,
  service_tier: 'default',
  system_fingerprint: 'fp_simulator',
})

const calls = (turn: Turn) =>
  turn.calls.map(call => ({
    id: `call_${call.id}`,
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
  }))

const usageOf = (usage: Usage) => ({
  prompt_tokens: usage.input,
  completion_tokens: usage.output,
  total_tokens: usage.input + usage.output,
  prompt_tokens_details: { cached_tokens: usage.cached, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: usage.reasoning,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
})

/** Embeddings of OpenAI: floats, or base64 of little-endian 32-bit floats where the client asks for that (its SDK does). */
export const embeddings = (asked: Asked, vector: (text: string, dimensions: number) => readonly number[]): unknown => {
  const { body } = asked
  const inputs =
    typeof body.input === 'string' || typeof list(body.input)[0] === 'number' ? [body.input] : list(body.input)
  const dimensions = wholeNumber(body.dimensions) ?? 0
  const tokens = inputs.reduce<number>(
    (sum, input) => sum + (Array.isArray(input) ? input.length : countTokens(input)),
    0,
  )
  return {
    object: 'list',
    data: inputs.map((input, index) => {
      const values = vector(JSON.stringify(input), dimensions)
      const embedding = body.encoding_format === 'base64' ? base64Of(values) : values
      return { object: 'embedding', index, embedding }
    }),
    model: text(body.model),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  }
}

const base64Of = (values: readonly number[]): string => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeFloatLE(value, i * 4)
  return bytes.toString('base64')
}
