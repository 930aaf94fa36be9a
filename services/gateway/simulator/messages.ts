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
import { namedSse, type Problem, type Wire } from './wire.ts'

const TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}

export const anthropicProblem: Problem = (status, message) => ({
  type: 'error',
  error: { type: TYPES[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error'), message },
  request_id: `req_${digest(message)}`,
})

/** Anthropic messages. */
export const messages: Wire = {
  read: ({ body }) => ({
    model: text(body.model),
    seed: digest(JSON.stringify([body.model, body.system, body.messages])),
    inputTokens: countTokens([body.system, body.messages, body.tools]),
    ...lastWords(messagesOf(records(body.messages))),
    tools: records(body.tools)
      .filter(tool => isRecord(tool.input_schema))
      .map(tool => ({ name: text(tool.name), schema: tool.input_schema })),
    choice: choiceOf(record(body.tool_choice)),
    format: record(record(body.output_config).format).schema ?? record(body.output_format).schema ?? null,
    maxTokens: wholeNumber(body.max_tokens),
    stream: body.stream === true,
    choices: 1,
  }),

  body: (_asked, prompt, turn) => ({
    ...head(prompt, turn),
    content:
      turn.calls.length > 0
        ? turn.calls.map(call => ({ ...toolUse(call), input: inputOf(call) }))
        : [textBlock(turn.text)],
    stop_reason: STOP[turn.reason],
    stop_sequence: null,
    ...(turn.usage === null ? {} : { usage: usageOf(turn.usage) }),
  }),

  *events(_asked, prompt, turn) {
    for (const event of messageEvents(prompt, turn)) yield namedSse(event)
  },

  streamType: () => 'text/event-stream; charset=utf-8',
  failure: () =>
    namedSse({
      type: 'error',
      error: { type: 'overloaded_error', message: 'The simulator was asked to fail here.' },
    }),
  problem: anthropicProblem,
}

/** The events of a stream; Bedrock has the same ones in frames. */
export function* messageEvents(prompt: Prompt, turn: Turn): Iterable<Json & { readonly type: string }> {
  const { usage } = turn
  const atStart = usage && usageOf({ ...usage, output: Math.min(usage.output, 1) })
  const start = { ...head(prompt, turn), content: [], stop_reason: null, stop_sequence: null }
  yield {
    type: 'message_start',
    message: { ...start, ...(atStart === null ? {} : { usage: atStart }) },
  }
  const blocks = turn.calls.length > 0 ? turn.calls.map(toolUse) : [textBlock('')]
  for (const [index, content_block] of blocks.entries()) {
    yield { type: 'content_block_start', index, content_block }
    if (index === 0) yield { type: 'ping' }
    for (const delta of deltas(turn, index)) yield { type: 'content_block_delta', index, delta }
    yield { type: 'content_block_stop', index }
  }
  const delta = { stop_reason: STOP[turn.reason], stop_sequence: null }
  yield {
    type: 'message_delta',
    delta,
    ...(usage === null ? {} : { usage: endUsage(usage) }),
  }
  yield { type: 'message_stop' }
}

export const anthropicModels = (): unknown => {
  const created_at = '2026-01-01T00:00:00Z'
  const data = [{ type: 'model', id: 'simulator', display_name: 'Simulator', created_at }]
  return { data, has_more: false, first_id: 'simulator', last_id: 'simulator' }
}

const STOP = { stop: 'end_turn', calls: 'tool_use', length: 'max_tokens' } as const

const choiceOf = (choice: Json): ToolChoice => {
  switch (choice.type) {
    case 'tool':
      return { kind: 'tool', name: text(choice.name) }
    case 'any':
    case 'none':
      return { kind: choice.type }
    default:
      return { kind: 'auto' }
  }
}

/** A user turn with tool results is a tool turn, whatever text an agent puts beside them. */
const messagesOf = (turns: readonly Json[]): readonly Message[] => {
  const blocks = turns.flatMap(turn => records(turn.content))
  const names = new Map(blocks.filter(block => block.type === 'tool_use').map(block => [block.id, text(block.name)]))
  return turns.map(turn => {
    const results = records(turn.content).filter(block => block.type === 'tool_result')
    if (results.length === 0) return { role: turn.role === 'user' ? 'user' : 'other', text: plainText(turn.content) }
    const told = results.map(block => ({
      name: names.get(block.tool_use_id) ?? 'tool',
      text: plainText(block.content),
    }))
    return { role: 'tool', results: told }
  })
}

const head = (prompt: Prompt, turn: Turn) => ({
  model: prompt.model,
  id: `msg_${turn.seed}`,
  type: 'message',
  role: 'assistant',
})

const textBlock = (said: string) => ({ type: 'text', text: said })
const toolUse = (call: Turn['calls'][number]) => ({
  type: 'tool_use',
  id: `toolu_${call.id}`,
  name: call.name,
  input: {},
})
/** Arguments that are no object stand in one. */
export const inputOf = (call: Turn['calls'][number]): unknown =>
  isRecord(call.args) ? call.args : { input: call.args }

const deltas = (turn: Turn, index: number): readonly unknown[] => {
  const call = turn.calls[index]
  if (call === undefined) return chunksOf(turn.text, turn.chunkTokens).map(said => ({ type: 'text_delta', text: said }))
  const json = argumentsOf({ ...call, args: inputOf(call) })
  return ['', ...chunksOf(json, turn.chunkTokens)].map(partial_json => ({ type: 'input_json_delta', partial_json }))
}

/** Cached tokens stand beside the input here, not inside it. */
const usageOf = (usage: Usage) => ({ ...endUsage(usage), service_tier: 'standard' })
const endUsage = (usage: Usage) => ({
  input_tokens: usage.input - usage.cached,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: usage.cached,
  output_tokens: usage.output,
  ...(usage.reasoning > 0 ? { output_tokens_details: { thinking_tokens: usage.reasoning } } : {}),
})

export const messagesTokens = (body: Json): number => countTokens([body.system, body.messages, list(body.tools)])

export const countedTokens = (body: Json): unknown => ({ input_tokens: messagesTokens(body) })
