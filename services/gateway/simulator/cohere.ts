import { type Json, plainText, record, records, text, wholeNumber } from './json.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import { argumentsOf, chunksOf, lastWords, type Message, type Turn, type Usage } from './turn.ts'
import { namedSse, type Problem, type Wire } from './wire.ts'

export const cohereProblem: Problem = (_status, message) => ({ id: digest(message), message })

/** Cohere's chat. */
export const cohereChat: Wire = {
  read: ({ body }) => ({
    model: text(body.model),
    seed: digest(JSON.stringify([body.model, body.messages])),
    inputTokens: countTokens([body.messages, body.documents, body.tools]),
    ...lastWords(messagesOf(records(body.messages))),
    tools: records(body.tools)
      .map(tool => record(tool.function))
      .filter(tool => text(tool.name) !== '')
      .map(tool => ({ name: text(tool.name), schema: tool.parameters })),
    choice: { kind: body.tool_choice === 'REQUIRED' ? 'any' : body.tool_choice === 'NONE' ? 'none' : 'auto' },
    format: record(body.response_format).json_schema ?? null,
    maxTokens: wholeNumber(body.max_tokens),
    stream: body.stream === true,
    choices: 1,
  }),

  body: (_asked, _prompt, turn) => ({
    id: turn.seed,
    finish_reason: FINISH[turn.reason],
    message: {
      role: 'assistant',
      ...(turn.calls.length > 0 ? { tool_calls: calls(turn) } : { content: [{ type: 'text', text: turn.text }] }),
    },
    ...(turn.usage === null ? {} : { usage: usageOf(turn.usage) }),
  }),

  *events(_asked, _prompt, turn) {
    const piece = (type: string, index: number, message: Json) => namedSse({ type, index, delta: { message } })
    const empty = { role: 'assistant', content: [], tool_plan: '', tool_calls: [], citations: [] }
    yield namedSse({ type: 'message-start', id: turn.seed, delta: { message: empty } })
    if (turn.calls.length === 0) {
      yield piece('content-start', 0, { content: { type: 'text', text: '' } })
      for (const said of chunksOf(turn.text, turn.chunkTokens))
        yield piece('content-delta', 0, { content: { text: said } })
      yield namedSse({ type: 'content-end', index: 0 })
    }
    for (const [index, call] of calls(turn).entries()) {
      yield piece('tool-call-start', index, { tool_calls: { ...call, function: { ...call.function, arguments: '' } } })
      for (const part of chunksOf(call.function.arguments, turn.chunkTokens))
        yield piece('tool-call-delta', index, { tool_calls: { function: { arguments: part } } })
      yield namedSse({ type: 'tool-call-end', index })
    }
    const usage = turn.usage === null ? {} : { usage: usageOf(turn.usage) }
    yield namedSse({ type: 'message-end', delta: { finish_reason: FINISH[turn.reason], ...usage } })
  },

  streamType: () => 'text/event-stream',
  /** A stream that fails ends like any other, with a reason. */
  failure: () =>
    namedSse({
      type: 'message-end',
      delta: { finish_reason: 'ERROR', error: 'The simulator was asked to fail here.' },
    }),
  problem: cohereProblem,
}

const FINISH = { stop: 'COMPLETE', calls: 'TOOL_CALL', length: 'MAX_TOKENS' } as const

const calls = (turn: Turn) =>
  turn.calls.map(call => ({
    id: `${call.name}_${call.id}`,
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
  }))

/** The simulator puts nothing around a prompt: what is billed and what was read are the same. */
const usageOf = (usage: Usage) => {
  const units = { input_tokens: usage.input, output_tokens: usage.output }
  return { billed_units: units, tokens: units, cached_tokens: usage.cached }
}

const messagesOf = (messages: readonly Json[]): readonly Message[] => {
  const made = messages.flatMap(message => records(message.tool_calls))
  const names = new Map(made.map(call => [call.id, text(record(call.function).name)]))
  return messages.map(message => {
    if (message.role !== 'tool')
      return { role: message.role === 'user' ? 'user' : 'other', text: plainText(message.content) }
    return {
      role: 'tool',
      results: [{ name: names.get(message.tool_call_id) || 'tool', text: toolText(message.content) }],
    }
  })
}

/** A result may be a document, whose data is a text or an object. */
const toolText = (content: unknown): string => {
  const data = records(content).flatMap(part => ('document' in part ? [record(part.document).data] : []))
  if (data.length === 0) return plainText(content)
  return data.map(value => (typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))).join('\n')
}
