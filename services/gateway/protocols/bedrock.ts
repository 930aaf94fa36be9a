import { frameOf } from '../../core/wire/frames.ts'
import { memberSpan, twiceIn, wanted, withMember } from '../../core/wire/json-spans.ts'
import { type Asked, asked, nothingAsked } from './asking.ts'
import { converseReader, countReader } from './bedrock-converse.ts'
import { byHeaders } from './bedrock-headers.ts'
import { invokeReader, invokeStreamReader, operationOf } from './bedrock-invoke.ts'
import {
  conversedMayHaveIds,
  converseHistory,
  converseTurn,
  invokedMayHaveIds,
  invokeHistory,
  invokeTurn,
} from './bedrock-turns.ts'
import type { AnswerReader } from './findings.ts'
import { get } from './json.ts'
import { meterOf } from './meter.ts'
import type { Ask, Conversation, Protocol, Refusal, Route } from './protocol.ts'
import { refusalAnswer } from './refusal.ts'
import { doorsOf } from './routes.ts'

/** An ARN has slashes, which most clients write as `%2F`, and some do not. */
const post = (what: string, operation: string, shape: string): Route => ({
  method: 'POST',
  path: `/model/{model+}/${what}`,
  operation,
  shape,
})

const routes: readonly Route[] = [
  post('converse', 'chat', 'converse'),
  post('converse-stream', 'chat', 'converse-stream'),
  post('invoke', 'chat', 'invoke'),
  post('invoke-with-response-stream', 'chat', 'invoke-stream'),
  post('count-tokens', 'count_tokens', 'count'),
]

/**
 * Amazon Bedrock's runtime. The model stands in the path. Converse has one body for all models; what is invoked has the
 * model's own.
 */
export const bedrock: Protocol = {
  name: 'bedrock',
  routes,
  doors: doorsOf(routes, { versions: [''], versionInBaseUrl: false }),

  ask(matched, body, bytes) {
    const { shape } = matched.route
    const it = asked(body, bytes === undefined ? null : twice(bytes))
    const model = matched.params['model'] ?? null
    const invalid = it.invalid() ?? ((model?.length ?? 0) > maxModelLength ? 'The id of the model is too long.' : null)
    if (shape === 'count') return { ...nothingAsked, model, invalid }
    const operation = shape.startsWith('invoke') ? operationOf(model ?? '', body) : 'chat'
    if (operation !== 'chat') return { ...nothingAsked, model, operation, invalid }
    return {
      model,
      ...limitsOf(it, body, shape),
      choices: 1,
      previousResponseId: null,
      invalid: invalid ?? it.invalid(),
    }
  },

  prepare: (_matched, _ask, bytes) => ({ bytes, hideUsage: false }),

  // The body of an invoke is each model's own.
  withLimit: ({ route }, _ask, bytes, tokens) =>
    route.path.includes('converse') ? withMember(bytes, ['inferenceConfig', 'maxTokens'], String(tokens)) : null,

  withModel: (matched, bytes, model) => ({
    bytes,
    upstreamPath: `/model/${encodeURIComponent(model)}${matched.upstreamPath.slice(matched.upstreamPath.lastIndexOf('/'))}`,
  }),

  meter: (matched, _ask, head, options) =>
    byHeaders(meterOf(readers[matched.route.shape] ?? countReader, head, options), matched.route.shape, head),

  conversation: matched => conversations[matched.route.shape] ?? null,

  refusal(refusal) {
    const { body, headers } = refusalAnswer(refusal, shaped(refusal))
    return { body, headers: { ...headers, 'x-amzn-errortype': exceptionOf(refusal.status) } }
  },

  streamError(_matched, refusal) {
    const name = streamExceptionOf(refusal.status)
    return frameOf(
      { ':exception-type': name, ':content-type': 'application/json', ':message-type': 'exception' },
      JSON.stringify(shaped(refusal)),
    )
  },

  modelList: models => ({ modelSummaries: models.map(modelId => ({ modelId })) }),
}

/** The longest ARN that Bedrock takes. */
const maxModelLength = 2048

const readers: Readonly<Record<string, AnswerReader>> = {
  converse: converseReader,
  'converse-stream': converseReader,
  invoke: invokeReader,
  'invoke-stream': invokeStreamReader,
}

const invoked: Conversation = { turns: invokeHistory, read: invokeTurn, mayHaveIds: invokedMayHaveIds }
const conversed: Conversation = { turns: converseHistory, read: converseTurn, mayHaveIds: conversedMayHaveIds }
const conversations: Readonly<Record<string, Conversation>> = {
  converse: conversed,
  'converse-stream': conversed,
  invoke: invoked,
  'invoke-stream': invoked,
}

/** Where the models' own bodies have their limit; Converse has one place for all. */
const places: readonly (readonly [inside: string | null, key: string])[] = [
  ['inferenceConfig', 'maxTokens'],
  ['inferenceConfig', 'max_new_tokens'],
  ['textGenerationConfig', 'maxTokenCount'],
  [null, 'max_tokens'],
  [null, 'max_completion_tokens'],
  [null, 'max_tokens_to_sample'],
  [null, 'max_gen_len'],
  [null, 'maxTokens'],
]

/** Of several limits the largest counts: it is the one that cannot be exceeded, whichever the model heeds. */
function limitsOf(it: Asked, body: unknown, shape: string): Pick<Ask, 'stream' | 'maxTokens'> {
  const stream = shape.endsWith('-stream')
  const known = (shape.startsWith('invoke') ? places : places.slice(0, 1))
    .map(([inside, key]) => it.whole(key, inside === null ? body : get(body, inside)))
    .filter(limit => limit !== null)
  return { stream, maxTokens: known.length === 0 ? null : Math.max(...known) }
}

/** What we act on; in a text where one of these stands twice, we and the provider could act on different values. */
const watched = wanted(
  'messages',
  'system',
  'inferenceConfig',
  'textGenerationConfig',
  'toolConfig',
  'tools',
  'inputText',
  'max_tokens',
  'max_completion_tokens',
  'max_tokens_to_sample',
  'max_gen_len',
  'maxTokens',
)
const watchedInside = wanted('maxTokens', 'max_new_tokens', 'maxTokenCount')

function twice(bytes: Buffer): string | null {
  const top = twiceIn(bytes, watched)
  if (top !== null) return top
  for (const name of ['inferenceConfig', 'textGenerationConfig']) {
    const span = memberSpan(bytes, name)
    const inside = span === null || span === 'absent' ? null : twiceIn(bytes, watchedInside, span)
    if (inside !== null) return inside
  }
  return null
}

const shaped = ({ message, code, facts }: Refusal) => ({ ...facts, message, code })

/**
 * AWS's names for HTTP's numbers. Its SDKs try again by name as well as by number, so what is final must not be called by
 * one of those that pass (throttling, clock skew, expired signatures).
 */
function exceptionOf(status: number): string {
  if (status === 401) return 'UnrecognizedClientException'
  if (status === 402) return 'ServiceQuotaExceededException'
  if (status === 403 || status === 423) return 'AccessDeniedException'
  if (status === 404) return 'ResourceNotFoundException'
  if (status === 408) return 'RequestTimeoutException'
  if (status === 429) return 'ThrottlingException'
  if (status === 503) return 'ServiceUnavailableException'
  if (status === 504) return 'ModelTimeoutException'
  return status >= 500 ? 'InternalServerException' : 'ValidationException'
}

/** Streams know fewer; SDKs read only those that the service has named. */
function streamExceptionOf(status: number): string {
  if (status === 429) return 'throttlingException'
  if (status === 502 || status === 504) return 'modelStreamErrorException'
  if (status === 503) return 'serviceUnavailableException'
  return status >= 500 ? 'internalServerException' : 'validationException'
}
