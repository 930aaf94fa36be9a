import { openaiChoice, openaiProblem } from './chat.ts'
import { isRecord, type Json, plainText, record, records, text, wholeNumber } from './json.ts'
import { knobsIn, markersOf } from './knobs.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import { argumentsOf, chunksOf, lastWords, type Message, type Prompt, type Turn, turnOf, type Usage } from './turn.ts'
import { type Asked, CREATED_S, namedSse, type Wire } from './wire.ts'

/**
 * OpenAI Responses. Nothing is kept between requests: the id of a background answer holds what its text follows from, so
 * that any gateway can tell the end of it.
 */
export const responses: Wire = {
  read: ({ body }) => {
    const items = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : records(body.input)
    return {
      model: text(body.model),
      seed: digest(JSON.stringify([body.model, body.previous_response_id, body.instructions, body.input])),
      inputTokens: responsesTokens(body),
      ...lastWords(messagesOf(items)),
      tools: records(body.tools)
        .filter(tool => tool.type === 'function' && text(tool.name) !== '')
        .map(tool => ({ name: text(tool.name), schema: tool.parameters })),
      choice: openaiChoice(body.tool_choice, record(body.tool_choice).name),
      format: record(record(body.text).format).schema ?? null,
      maxTokens: wholeNumber(body.max_output_tokens),
      stream: body.stream === true,
      choices: 1,
    }
  },

  body: (asked, prompt, turn) => {
    const whole = { ...response(asked, prompt, turn), ...finished(turn) }
    if (asked.body.background !== true || asked.method === 'GET') return whole
    return { ...response(asked, prompt, turn), status: 'queued' }
  },

  *events(asked, prompt, turn) {
    let sequence = 0
    const event = (type: string, facts: Json): string => namedSse({ type, ...facts, sequence_number: sequence++ })
    const started = response(asked, prompt, turn)
    const queued = asked.body.background === true
    yield event('response.created', { response: queued ? { ...started, status: 'queued' } : started })
    if (queued) yield event('response.queued', { response: { ...started, status: 'queued' } })
    yield event('response.in_progress', { response: started })
    const { output, status, ...rest } = finished(turn)
    for (const [index, item] of output.entries()) {
      const opened = item.type === 'message' ? { ...item, content: [] } : { ...item, arguments: '' }
      yield event('response.output_item.added', { output_index: index, item: { ...opened, status: 'in_progress' } })
      yield* item.type === 'message' ? textEvents(event, index, item, turn) : callEvents(event, index, item, turn)
      yield event('response.output_item.done', { output_index: index, item })
    }
    yield event(`response.${status}`, { response: { ...started, ...rest, status, output } })
  },

  streamType: () => 'text/event-stream; charset=utf-8',
  failure: asked => {
    const error = { code: 'server_error', message: 'The simulator was asked to fail here.' }
    const id = `resp_${digest(JSON.stringify(asked.body))}`
    const failed = { id, object: 'response', created_at: CREATED_S, model: asked.body.model, output: [], usage: null }
    return namedSse({
      type: 'response.failed',
      response: { ...failed, status: 'failed', error },
      sequence_number: 0,
    })
  },
  problem: openaiProblem,
}

/** `GET /responses/{id}`: the same answer, now complete. Null for an id that is not one of ours. */
export const retrieved = (asked: Asked): { readonly prompt: Prompt; readonly turn: Turn } | null => {
  const prompt = fromId(/\/responses\/([^/]+)/.exec(asked.path)?.[1] ?? '')
  return prompt && { prompt, turn: turnOf(prompt, knobsIn(prompt.userText)) }
}

export const responsesTokens = (body: Json): number => countTokens([body.instructions, body.input, body.tools])

type Emit = (type: string, facts: Json) => string
type Item = MessageItem | CallItem
type MessageItem = ReturnType<typeof messageItem>
type CallItem = ReturnType<typeof callItems>[number]

function* textEvents(event: Emit, index: number, item: MessageItem, turn: Turn): Iterable<string> {
  const place = { item_id: item.id, output_index: index, content_index: 0 }
  yield event('response.content_part.added', { ...place, part: textPart('') })
  for (const delta of chunksOf(turn.text, turn.chunkTokens))
    yield event('response.output_text.delta', { ...place, delta, logprobs: [] })
  yield event('response.output_text.done', { ...place, text: turn.text, logprobs: [] })
  yield event('response.content_part.done', { ...place, part: textPart(turn.text) })
}

function* callEvents(event: Emit, index: number, item: CallItem, turn: Turn): Iterable<string> {
  const place = { item_id: item.id, output_index: index }
  for (const delta of chunksOf(item.arguments, turn.chunkTokens))
    yield event('response.function_call_arguments.delta', { ...place, delta })
  yield event('response.function_call_arguments.done', { ...place, name: item.name, arguments: item.arguments })
}

/** The parts of an answer that are known at its end only. */
const finished = (turn: Turn) => {
  const cut = turn.reason === 'length'
  const output: readonly Item[] = turn.calls.length > 0 ? callItems(turn) : [messageItem(turn, cut)]
  return {
    status: cut ? 'incomplete' : 'completed',
    completed_at: cut ? null : CREATED_S,
    incomplete_details: cut ? { reason: 'max_output_tokens' } : null,
    output,
    usage: turn.usage === null ? null : responsesUsage(turn.usage),
  }
}

const textPart = (said: string) => ({ type: 'output_text', annotations: [], logprobs: [], text: said })

const messageItem = (turn: Turn, cut: boolean) => ({
  id: `msg_${turn.seed}`,
  type: 'message' as const,
  status: cut ? 'incomplete' : 'completed',
  role: 'assistant',
  content: [textPart(turn.text)],
})

const callItems = (turn: Turn) =>
  turn.calls.map(call => ({
    id: `fc_${call.id}`,
    type: 'function_call' as const,
    status: 'completed',
    call_id: `call_${call.id}`,
    name: call.name,
    arguments: argumentsOf(call),
  }))

const response = ({ body }: Asked, prompt: Prompt, turn: Turn) => ({
  id: body.background === true ? backgroundId(prompt) : `resp_${turn.seed}`,
  object: 'response',
  created_at: CREATED_S,
  status: 'in_progress',
  background: body.background === true,
  completed_at: null,
  error: null,
  incomplete_details: null,
  instructions: body.instructions ?? null,
  max_output_tokens: prompt.maxTokens,
  metadata: record(body.metadata),
  model: prompt.model,
  output: [],
  parallel_tool_calls: body.parallel_tool_calls !== false,
  previous_response_id: body.previous_response_id ?? null,
  reasoning: { effort: null, summary: null },
  service_tier: 'default',
  store: body.store !== false,
  temperature: body.temperature ?? 1,
  text: isRecord(body.text) ? body.text : { format: { type: 'text' } },
  tool_choice: body.tool_choice ?? 'auto',
  tools: records(body.tools),
  top_p: body.top_p ?? 1,
  truncation: 'disabled',
  usage: null,
  user: null,
})

export const responsesUsage = (usage: Usage) => ({
  input_tokens: usage.input,
  input_tokens_details: { cached_tokens: usage.cached },
  output_tokens: usage.output,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.input + usage.output,
})

const messagesOf = (items: readonly Json[]): readonly Message[] => {
  const names = new Map(
    items.filter(item => item.type === 'function_call').map(item => [item.call_id, text(item.name)]),
  )
  return items.map(item => {
    if (item.type !== 'function_call_output')
      return { role: item.role === 'user' ? 'user' : 'other', text: plainText(item.content) }
    return { role: 'tool', results: [{ name: names.get(item.call_id) ?? 'tool', text: plainText(item.output) }] }
  })
}

const BACKGROUND = 'resp_bg_'

/** Tools and formats are not held: a background answer is plain text. */
const backgroundId = (prompt: Prompt): string => {
  const facts = [prompt.model, prompt.seed, prompt.inputTokens, prompt.maxTokens, markersOf(prompt.userText)]
  return BACKGROUND + Buffer.from(JSON.stringify(facts)).toString('base64url')
}

const fromId = (id: string): Prompt | null => {
  if (!id.startsWith(BACKGROUND)) return null
  try {
    const facts: unknown = JSON.parse(Buffer.from(id.slice(BACKGROUND.length), 'base64url').toString())
    if (!Array.isArray(facts) || facts.length !== 5) return null
    const [model, seed, input, most, markers] = facts
    const said = {
      model: text(model),
      seed: text(seed),
      inputTokens: wholeNumber(input) ?? 0,
      maxTokens: wholeNumber(most),
    }
    const nothing = {
      userText: text(markers),
      results: [],
      roundsDone: 0,
      tools: [],
      format: null,
      stream: false,
      choices: 1,
    }
    return { ...nothing, ...said, choice: { kind: 'none' } }
  } catch {
    return null
  }
}
