import { twiceIn, wanted, withMember } from '../../core/wire/json-spans.ts'
import { asked, nothingAsked } from './asking.ts'
import { chatReader, plainReader } from './cohere-meter.ts'
import { chatHistory, chatTurn } from './cohere-turns.ts'
import { meterOf } from './meter.ts'
import { messageMayHaveIds } from './openai-turns.ts'
import type { Protocol, Refusal, Route } from './protocol.ts'
import { eventOf, refusalAnswer } from './refusal.ts'
import { doorsOf } from './routes.ts'

const routes: readonly Route[] = [
  { method: 'POST', path: '/v2/chat', operation: 'chat', shape: 'chat' },
  { method: 'POST', path: '/v2/embed', operation: 'embeddings', shape: 'embed' },
  { method: 'POST', path: '/v2/rerank', operation: 'rerank', shape: 'rerank' },
  { method: 'POST', path: '/v1/tokenize', operation: 'count_tokens', shape: 'tokenize' },
]

/** Cohere's own API; the one that looks like OpenAI's is OpenAI's protocol. */
export const cohere: Protocol = {
  name: 'cohere',
  routes,
  doors: doorsOf(routes, { versions: [''], versionInBaseUrl: false }),

  ask(matched, body, bytes) {
    const it = asked(body, bytes === undefined ? null : twiceIn(bytes, watched))
    const model = it.model()
    if (matched.route.shape !== 'chat') return { ...nothingAsked, model, invalid: it.invalid() }
    const stream = it.flag('stream')
    const maxTokens = it.whole('max_tokens')
    return { model, stream, maxTokens, choices: 1, previousResponseId: null, invalid: it.invalid() }
  },

  prepare: (_matched, _ask, bytes) => ({ bytes, hideUsage: false }),

  withLimit: ({ route }, _ask, bytes, tokens) =>
    route.operation === 'chat' ? withMember(bytes, ['max_tokens'], String(tokens)) : null,

  withModel: (matched, bytes, model) => ({
    bytes: withMember(bytes, ['model'], JSON.stringify(model)),
    upstreamPath: matched.upstreamPath,
  }),

  meter: (matched, _ask, head, options) =>
    meterOf(matched.route.shape === 'chat' ? chatReader : plainReader, head, options),

  conversation: matched =>
    matched.route.shape === 'chat' ? { turns: chatHistory, read: chatTurn, mayHaveIds: messageMayHaveIds } : null,

  refusal: refusal => refusalAnswer(refusal, shaped(refusal)),

  /** A stream that fails ends like any other, with a reason. */
  streamError: (_matched, refusal) =>
    eventOf(
      { type: 'message-end', ...shaped(refusal), delta: { error: refusal.message, finish_reason: 'ERROR' } },
      'message-end',
    ),

  modelList: models => ({ models: models.map(name => ({ name, endpoints: ['chat'] })) }),
}

/** What we act on; in a text where one of these stands twice, we and the provider could act on different values. */
const watched = wanted('model', 'stream', 'max_tokens', 'messages', 'tools')

const shaped = ({ message, code, facts }: Refusal) => ({ ...facts, message, code })
