import { memberSpan, twiceIn, wanted, withMember } from '../../core/wire/json-spans.ts'
import { asked, maxModelLength, nothingAsked, positive } from './asking.ts'
import { contentReader, plainReader, streamReader } from './gemini-meter.ts'
import { contentMayHaveIds, contentsHistory, contentTurn } from './gemini-turns.ts'
import { get } from './json.ts'
import { meterOf } from './meter.ts'
import type { Ask, Matched, Protocol, Refusal, Route } from './protocol.ts'
import { eventOf, refusalAnswer } from './refusal.ts'
import { doorsOf } from './routes.ts'

const post = (path: string, operation: string, shape: string): Route => ({ method: 'POST', path, operation, shape })

const routes: readonly Route[] = [
  post('/v1beta/models/{model}:generateContent', 'generate_content', 'generate'),
  post('/v1beta/models/{model}:streamGenerateContent', 'generate_content', 'stream'),
  post('/v1beta/models/{model}:embedContent', 'embeddings', 'embed'),
  post('/v1beta/models/{model}:batchEmbedContents', 'embeddings', 'batchEmbed'),
  post('/v1beta/models/{model}:countTokens', 'count_tokens', 'count'),
  post('/v1beta/tunedModels/{tuned}:generateContent', 'generate_content', 'generate'),
  post('/v1beta/tunedModels/{tuned}:streamGenerateContent', 'generate_content', 'stream'),
  { method: 'GET', path: '/v1beta/models', operation: 'list_models', shape: 'models' },
  { method: 'GET', path: '/v1beta/models/{id}', operation: 'get_model', shape: 'models' },
]

/** Google's Gemini API, and Vertex behind a provider's name. The model stands in the path. */
export const gemini: Protocol = {
  name: 'gemini',
  routes,
  doors: doorsOf(routes, { versions: ['/v1beta', '/v1', '/v1alpha'], versionInBaseUrl: false }),

  ask(matched, body, bytes) {
    const { route } = matched
    if (route.method === 'GET') return nothingAsked
    const model = modelOf(matched)
    const it = asked(body, bytes === undefined ? null : twice(bytes))
    if ((model?.length ?? 0) > maxModelLength)
      return { ...nothingAsked, model, invalid: 'The name of the model is too long.' }
    if (!generating.has(route.shape)) return { ...nothingAsked, model, invalid: it.invalid() }
    // Google's parser takes a field's name in either spelling.
    const config = get(body, 'generationConfig') ?? get(body, 'generation_config')
    return {
      model,
      stream: route.shape === 'stream',
      maxTokens: it.whole('maxOutputTokens', config) ?? it.whole('max_output_tokens', config),
      choices: positive(it.whole('candidateCount', config) ?? it.whole('candidate_count', config)),
      previousResponseId: null,
      invalid: it.invalid() ?? spelledTwice(body, config),
    }
  },

  prepare: (_matched, _ask, bytes) => ({ bytes, hideUsage: false }),

  withLimit(matched, _ask, bytes, tokens) {
    if (!generating.has(matched.route.shape)) return null
    const isSnake = memberSpan(bytes, 'generation_config') !== 'absent'
    const config = isSnake ? 'generation_config' : 'generationConfig'
    const within = memberSpan(bytes, config)
    const isSnakeInside =
      within !== null && within !== 'absent' && memberSpan(bytes, 'max_output_tokens', within) !== 'absent'
    return withMember(bytes, [config, isSnakeInside ? 'max_output_tokens' : 'maxOutputTokens'], String(tokens))
  },

  withModel(matched, bytes, model) {
    const operation = matched.upstreamPath.slice(operationAt(matched.upstreamPath))
    const version = matched.upstreamPath.slice(0, matched.upstreamPath.indexOf('/', 1))
    const [collection, name] = model.startsWith('tunedModels/') ? model.split('/') : ['models', model]
    return {
      // An embedding's body may name the model once more, and must agree with the path.
      bytes: matched.route.shape === 'embed' ? renamed(bytes, model) : bytes,
      upstreamPath: `${version}/${collection}/${encodeURIComponent(name ?? '')}${operation}`,
    }
  },

  meter: (matched, _ask, head, options) => meterOf(readers[matched.route.shape] ?? plainReader, head, options),

  conversation: matched =>
    generating.has(matched.route.shape)
      ? { turns: contentsHistory, read: contentTurn, mayHaveIds: contentMayHaveIds }
      : null,

  refusal: refusal => refusalAnswer(refusal, { error: errorOf(refusal) }),

  streamError(_matched, refusal, query) {
    const shaped = { error: errorOf(refusal) }
    const events = query === undefined || /(^|[?&])alt=sse(&|$)/.test(query)
    return events ? eventOf(shaped) : Buffer.from(`,\n${JSON.stringify(shaped)}\n]`)
  },

  modelList: models => ({
    models: models.map(id => ({
      name: `models/${id}`,
      displayName: id,
      supportedGenerationMethods: ['generateContent', 'countTokens'],
    })),
  }),
}

const generating = new Set(['generate', 'stream'])
const readers: Readonly<Record<string, typeof contentReader>> = { generate: contentReader, stream: streamReader }

/** What we act on; in a text where one of these stands twice, we and the provider could act on different values. */
const watched = wanted(
  'generationConfig',
  'generation_config',
  'contents',
  'systemInstruction',
  'system_instruction',
  'tools',
)
const watchedInside = wanted('maxOutputTokens', 'max_output_tokens', 'candidateCount', 'candidate_count')

function twice(bytes: Buffer): string | null {
  const top = twiceIn(bytes, watched)
  if (top !== null) return top
  const config = memberSpan(bytes, 'generationConfig')
  const span = config === 'absent' ? memberSpan(bytes, 'generation_config') : config
  return span === null || span === 'absent' ? null : twiceIn(bytes, watchedInside, span)
}

/** A field in both spellings is a field twice. */
function spelledTwice(body: unknown, config: unknown): string | null {
  const pairs: readonly (readonly [unknown, string, string])[] = [
    [body, 'generationConfig', 'generation_config'],
    [config, 'maxOutputTokens', 'max_output_tokens'],
    [config, 'candidateCount', 'candidate_count'],
  ]
  for (const [value, camel, snake] of pairs)
    if (get(value, camel) !== undefined && get(value, snake) !== undefined)
      return `The key "${camel}" stands twice in the body.`
  return null
}

function modelOf(matched: Matched): Ask['model'] {
  const { model, tuned } = matched.params
  return model ?? (tuned === undefined ? null : `tunedModels/${tuned}`)
}

/** Where `:generateContent` begins; some clients write the colon encoded. */
function operationAt(path: string): number {
  const plain = path.lastIndexOf(':')
  return plain > path.lastIndexOf('/') ? plain : path.toLowerCase().lastIndexOf('%3a')
}

function renamed(bytes: Buffer, model: string): Buffer {
  const span = memberSpan(bytes, 'model')
  return span === null || span === 'absent' ? bytes : withMember(bytes, ['model'], JSON.stringify(`models/${model}`))
}

/** Google's own `code` is the HTTP status as a number, so ours is the reason in the details. */
function errorOf(refusal: Refusal) {
  const { status, message, code, facts, retryAfterMs } = refusal
  const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code, domain: 'sluice' }
  const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${(retryAfterMs ?? 0) / 1000}s` }
  return {
    ...facts,
    code: status,
    message,
    status: words[status] ?? (status >= 500 ? 'INTERNAL' : 'INVALID_ARGUMENT'),
    details: retryAfterMs === undefined ? [info] : [info, retry],
  }
}

/** Google's words for HTTP's numbers. A budget that is used up is a resource that is exhausted. */
const words: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  423: 'FAILED_PRECONDITION',
  429: 'RESOURCE_EXHAUSTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}
