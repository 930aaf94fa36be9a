import { memberSpan, spliced, twiceIn, wanted, withMember } from '../../core/wire/json-spans.ts'
import { type Asked, asked, nothingAsked, positive } from './asking.ts'
import type { AnswerReader } from './findings.ts'
import { count, get, isObject, text } from './json.ts'
import { meterOf } from './meter.ts'
import { chatReader } from './openai-chat.ts'
import { responsesReader } from './openai-responses.ts'
import {
  chatHistory,
  chatTurn,
  itemMayHaveIds,
  messageMayHaveIds,
  responsesHistory,
  responsesTurn,
} from './openai-turns.ts'
import { takeUsage } from './openai-usage.ts'
import type { Ask, Conversation, Prepared, Protocol, Refusal, Route } from './protocol.ts'
import { eventOf, refusalAnswer } from './refusal.ts'
import { doorsOf } from './routes.ts'

const routes: readonly Route[] = [
  { method: 'POST', path: '/v1/chat/completions', operation: 'chat', shape: 'chat' },
  { method: 'POST', path: '/v1/responses', operation: 'chat', shape: 'responses' },
  { method: 'GET', path: '/v1/responses/{id}', operation: 'retrieve', shape: 'responses' },
  // What a cancelled answer came to is told like that of one asked for later, and booked in the same way.
  { method: 'POST', path: '/v1/responses/{id}/cancel', operation: 'retrieve', shape: 'responses', bodiless: true },
  { method: 'POST', path: '/v1/responses/compact', operation: 'chat', shape: 'compact' },
  { method: 'POST', path: '/v1/responses/input_tokens', operation: 'count_tokens', shape: 'count' },
  // Mistral's: code between a beginning and an end.
  { method: 'POST', path: '/v1/fim/completions', operation: 'text_completion', shape: 'fim' },
  { method: 'POST', path: '/v1/embeddings', operation: 'embeddings', shape: 'embeddings' },
  { method: 'GET', path: '/v1/models', operation: 'list_models', shape: 'models' },
  { method: 'GET', path: '/v1/models/{id+}', operation: 'get_model', shape: 'models' },
]

/** OpenAI's protocol, which most vendors speak. A `baseUrl` ends in `/v1`, as it does in OpenAI's own SDK. */
export const openai: Protocol = {
  name: 'openai',
  routes,
  doors: doorsOf(routes, { versions: ['/v1'], versionInBaseUrl: true }),

  ask(matched, body, bytes, query) {
    const { route } = matched
    if (isRead(route)) return { ...nothingAsked, stream: /(^|&)stream=true(&|$)/.test(query ?? '') }
    return askOf(route, body, asked(body, bytes === undefined ? null : twiceIn(bytes, watched)))
  },

  prepare(matched, ask, bytes) {
    return matched.route.shape === 'chat' && ask.stream ? withUsage(bytes) : { bytes, hideUsage: false }
  },

  withModel: (matched, bytes, model) => ({
    bytes: isRead(matched.route) ? bytes : withMember(bytes, ['model'], JSON.stringify(model)),
    upstreamPath: matched.upstreamPath,
  }),

  withLimit(matched, { model }, bytes, tokens) {
    const { shape } = matched.route
    if (shape === 'responses') return withMember(bytes, ['max_output_tokens'], String(tokens))
    if (shape !== 'chat' && shape !== 'fim') return null
    const set = ['max_completion_tokens', 'max_tokens'].filter(name => memberSpan(bytes, name) !== 'absent')
    // Models that reason take one name only, and every other server has known the other for longer.
    const names = set.length > 0 ? set : [/^(o\d|gpt-5)/.test(model ?? '') ? 'max_completion_tokens' : 'max_tokens']
    return names.reduce((limited, name) => withMember(limited, [name], String(tokens)), bytes)
  },

  meter: (matched, _ask, head, options) => meterOf(readers[matched.route.shape] ?? modelsReader, head, options),

  conversation: matched => (isRead(matched.route) ? null : (conversations[matched.route.shape] ?? null)),

  refusal: refusal => refusalAnswer(refusal, { error: errorOf(refusal) }),

  streamError(matched, refusal) {
    const error = errorOf(refusal)
    if (matched.route.shape !== 'responses') return eventOf({ error })
    const { code, message, param } = error
    return eventOf({ type: 'error', code, message, param, sequence_number: 0, error }, 'error')
  },

  modelList: models => ({
    object: 'list',
    data: models.map(id => ({ id, object: 'model', created: 0, owned_by: 'sluice' })),
  }),
}

/** It says nothing of its own: what it is about stands in the path. */
const isRead = (route: Route): boolean => route.method === 'GET' || route.bodiless === true

/** What we act on; in a text where one of these stands twice, we and the provider could act on different values. */
const watched = wanted(
  'model',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'previous_response_id',
  'messages',
  'input',
  'tools',
)

/** What makes a model write nothing. */
const silent = new Set(['embeddings', 'count'])

function askOf(route: Route, body: unknown, it: Asked): Ask {
  const model = it.model()
  const stream = it.flag('stream')
  if (silent.has(route.shape)) return { ...nothingAsked, model, invalid: it.invalid() }
  const limits =
    route.shape === 'chat' || route.shape === 'fim'
      ? [it.whole('max_completion_tokens'), it.whole('max_tokens')]
      : [it.whole('max_output_tokens')]
  const known = limits.filter(limit => limit !== null)
  return {
    model,
    stream,
    // Two limits are one too many; the larger is the one that cannot be exceeded.
    maxTokens: known.length === 0 ? null : Math.max(...known),
    choices: route.shape === 'chat' ? positive(it.whole('n')) : 1,
    previousResponseId: text(get(body, 'previous_response_id')),
    invalid: it.invalid(),
  }
}

/** Asks for usage on the client's behalf, unless it has done so itself. Nothing else of the text changes. */
function withUsage(bytes: Buffer): Prepared {
  const options = memberSpan(bytes, 'stream_options')
  if (options === null) return { bytes, hideUsage: false }
  const told = { bytes: withMember(bytes, ['stream_options', 'include_usage'], 'true'), hideUsage: true }
  if (options === 'absent') return told
  const first = bytes[options.start]
  if (first === openBrace) {
    const flag = memberSpan(bytes, 'include_usage', options)
    if (flag === null) return { bytes, hideUsage: false }
    return flag !== 'absent' && bytes[flag.start] === letterT ? { bytes, hideUsage: false } : told
  }
  // `null` and `false` mean none; anything else is a mistake, about which the provider has something to say.
  if (first !== letterN && first !== letterF) return { bytes, hideUsage: false }
  return { bytes: spliced(bytes, options, '{"include_usage":true}'), hideUsage: true }
}

const openBrace = 0x7b
const letterF = 0x66
const letterN = 0x6e
const letterT = 0x74

/** Vectors are long, and say nothing of what they cost. */
const embeddingsReader: AnswerReader = {
  bulk: ['data'],
  array: false,
  whole(document, found) {
    found.model = text(get(document, 'model'))
    found.responseId = text(get(document, 'id'))
    takeUsage(found, get(document, 'usage'))
    // Voyage tells the sum alone, and it is all input.
    const total = count(get(get(document, 'usage'), 'total_tokens'))
    if (found.usage !== null && total !== undefined) found.usage = { input_tokens: total, ...found.usage }
    found.recognised = get(document, 'data') !== undefined
    found.ended = true
  },
  written() {},
  event: () => false,
}

const modelsReader: AnswerReader = {
  bulk: [],
  array: false,
  whole(document, found) {
    found.recognised = found.ended = isObject(document)
  },
  written() {},
  event: () => false,
}

const readers: Readonly<Record<string, AnswerReader>> = {
  chat: chatReader,
  fim: chatReader,
  responses: responsesReader,
  compact: responsesReader,
  embeddings: embeddingsReader,
}

const items: Conversation = { turns: responsesHistory, read: responsesTurn, mayHaveIds: itemMayHaveIds }
const conversations: Readonly<Record<string, Conversation>> = {
  chat: { turns: chatHistory, read: chatTurn, mayHaveIds: messageMayHaveIds },
  responses: items,
  // What stands in a history's place from now on ties the run to what it was.
  compact: items,
}

/** OpenAI's words; it has no own for a call that is too dear, beyond the one for a quota that is used up. */
function errorOf(refusal: Refusal) {
  const { status, message, code, facts } = refusal
  return { param: null, ...facts, message, type: typeOf(status), code }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'insufficient_quota'
  if (status === 403 || status === 423) return 'permission_error'
  if (status === 429) return 'rate_limit_error'
  if (status === 503) return 'overloaded_error'
  return status >= 500 ? 'api_error' : 'invalid_request_error'
}
