import { twiceIn, wanted, withMember } from '../../core/wire/json-spans.ts'
import { countReader, messagesReader } from './anthropic-meter.ts'
import { messageMayHaveIds, messagesHistory, messagesTurn } from './anthropic-turns.ts'
import { asked, nothingAsked } from './asking.ts'
import { get, text } from './json.ts'
import { meterOf } from './meter.ts'
import type { Protocol, Refusal, Route } from './protocol.ts'
import { eventOf, refusalAnswer } from './refusal.ts'
import { doorsOf } from './routes.ts'

const routes: readonly Route[] = [
  { method: 'POST', path: '/v1/messages', operation: 'chat', shape: 'messages' },
  { method: 'POST', path: '/v1/messages/count_tokens', operation: 'count_tokens', shape: 'count_tokens' },
  { method: 'GET', path: '/v1/models', operation: 'list_models', shape: 'models' },
  { method: 'GET', path: '/v1/models/{id}', operation: 'get_model', shape: 'models' },
]

/** Anthropic's Messages API. */
export const anthropic: Protocol = {
  name: 'anthropic',
  routes,
  doors: doorsOf(routes, { versions: ['/v1'], versionInBaseUrl: false }),

  ask(matched, body, bytes) {
    if (matched.route.method === 'GET') return nothingAsked
    const it = asked(body, bytes === undefined ? null : twiceIn(bytes, watched))
    const model = it.model()
    if (matched.route.shape === 'count_tokens') return { ...nothingAsked, model, invalid: it.invalid() }
    const stream = it.flag('stream')
    const maxTokens = it.whole('max_tokens')
    // Its SDK's tool runner leaves the history with the provider and sends only what is new.
    const previousResponseId = text(get(get(body, 'thread'), 'previous_message_id'))
    return { model, stream, maxTokens, choices: 1, previousResponseId, invalid: it.invalid() }
  },

  prepare: (_matched, _ask, bytes) => ({ bytes, hideUsage: false }),

  withLimit: ({ route }, _ask, bytes, tokens) =>
    route.shape === 'messages' ? withMember(bytes, ['max_tokens'], String(tokens)) : null,

  withModel: (matched, bytes, model) => ({
    bytes: matched.route.method === 'GET' ? bytes : withMember(bytes, ['model'], JSON.stringify(model)),
    upstreamPath: matched.upstreamPath,
  }),

  meter: (matched, _ask, head, options) =>
    meterOf(matched.route.shape === 'messages' ? messagesReader : countReader, head, options),

  conversation: matched =>
    matched.route.shape === 'messages'
      ? { turns: messagesHistory, read: messagesTurn, mayHaveIds: messageMayHaveIds }
      : null,

  refusal: refusal => refusalAnswer(refusal, shaped(refusal)),

  streamError: (_matched, refusal) => eventOf(shaped(refusal), 'error'),

  modelList: models => ({
    data: models.map(id => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' })),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  }),
}

/** What we act on; in a text where one of these stands twice, we and the provider could act on different values. */
const watched = wanted('model', 'stream', 'max_tokens', 'messages', 'system', 'tools', 'thread')

function shaped(refusal: Refusal) {
  const { status, message, code, facts } = refusal
  return { type: 'error', error: { ...facts, type: typeOf(status), message, code } }
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error'
  if (status === 402) return 'billing_error'
  if (status === 403 || status === 423) return 'permission_error'
  if (status === 404) return 'not_found_error'
  if (status === 413) return 'request_too_large'
  if (status === 429) return 'rate_limit_error'
  if (status === 503) return 'overloaded_error'
  if (status === 504) return 'timeout_error'
  return status >= 500 ? 'api_error' : 'invalid_request_error'
}
