import { ranked, vectorsByType } from './cohere-plain.ts'
import {
  bedrockProblem,
  converse,
  converseAnswer,
  converseEvents,
  conversePrompt,
  converseTokens,
  eventFrame,
  modelInPath,
} from './converse.ts'
import { isRecord, type Json, list, parsed, record, text, wholeNumber } from './json.ts'
import { messageEvents, messages, messagesTokens } from './messages.ts'
import { json, type Script } from './script.ts'
import { digest } from './seed.ts'
import { countTokens } from './tokens.ts'
import type { Turn, Usage } from './turn.ts'
import { vectorOf } from './vector.ts'
import type { Asked, Wire } from './wire.ts'

/** What is invoked has a body of the model's own: Anthropic's is answered in Anthropic's shape, all others in Nova's. */
export const invoke: Wire = {
  read: asked =>
    isAnthropic(asked.body)
      ? messages.read({ ...asked, body: { ...asked.body, model: modelInPath(asked.path), stream: isStream(asked) } })
      : conversePrompt(modelInPath(asked.path), withMessages(asked.body), isStream(asked)),
  body: (asked, prompt, turn) =>
    isAnthropic(asked.body)
      ? messages.body(asked, prompt, turn)
      : { ...converseAnswer(turn), ...(turn.usage === null ? {} : { usage: novaUsage(turn.usage) }) },
  *events(asked, prompt, turn) {
    const events: Iterable<Json> = isAnthropic(asked.body) ? messageEvents(prompt, turn) : novaEvents(turn)
    let held: Json | null = null
    for (const event of events) {
      if (held !== null) yield chunk(held)
      held = event
    }
    // Bedrock puts its own counts into the last chunk, whatever the model says there.
    yield chunk({ ...held, ...invocationMetrics(turn) })
  },
  streamType: converse.streamType,
  failure: converse.failure,
  problem: bedrockProblem,
}

export const isAnthropic = (body: Json): boolean => body.anthropic_version !== undefined

/** Vectors and rankings, by the model's name or by what only such a body has; null where it is a conversation. */
export const invokedPlainly = ({ path, body }: Asked): Script | null => {
  const model = modelInPath(path)
  const tokens = (count: number) => ['x-amzn-bedrock-input-token-count', String(count)]
  if (model.includes('rerank')) return json(200, { results: ranked(body) })
  const embeds = model.includes('embed')
  if (Array.isArray(body.texts) && (embeds || body.input_type !== undefined)) {
    const texts = body.texts.map(text)
    const byType = list(body.embedding_types).length > 0
    const embeddings = byType ? vectorsByType(texts, body) : vectorsByType(texts, {}).float
    const answer = { id: digest(JSON.stringify(texts)), embeddings, texts }
    const kind = byType ? 'embeddings_by_type' : 'embeddings_floats'
    // Cohere's body tells no tokens there: Bedrock's header does.
    return json(200, { ...answer, response_type: kind }, tokens(countTokens(texts)))
  }
  if (typeof body.inputText !== 'string' || !(embeds || TITAN.some(key => body[key] !== undefined))) return null
  const embedding = vectorOf(body.inputText, wholeNumber(body.dimensions) ?? 0)
  const inputTextTokenCount = countTokens(body.inputText)
  const answer = { embedding, embeddingsByType: { float: embedding }, inputTextTokenCount }
  return json(200, answer, tokens(inputTextTokenCount))
}

const TITAN = ['normalize', 'dimensions', 'embeddingTypes']

export const bedrockCount = ({ body }: Asked): unknown => {
  const input = record(body.input)
  const invoked = Buffer.from(text(record(input.invokeModel).body), 'base64')
  const asked = isRecord(input.converse) ? input.converse : record(parsed(invoked.toString()))
  return { inputTokens: isAnthropic(asked) ? messagesTokens(asked) : converseTokens(asked) }
}

/** Clients read an error's name in a header, and what to quote to support in another. */
export const named = (script: Script): Script => {
  const at = script.headers.indexOf('x-request-id')
  const id = ['x-amzn-requestid', script.headers[at + 1] ?? '']
  const error = script.status < 400 ? [] : ['x-amzn-errortype', exceptionOf(script.status)]
  return { ...script, headers: [...script.headers, ...id, ...error] }
}

const EXCEPTIONS: Readonly<Record<number, string>> = {
  401: 'UnrecognizedClientException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  429: 'ThrottlingException',
  503: 'ServiceUnavailableException',
}

const exceptionOf = (status: number): string =>
  EXCEPTIONS[status] ?? (status >= 500 ? 'InternalServerException' : 'ValidationException')

const isStream = ({ path }: Asked): boolean => path.endsWith('-stream')

/** Older models have one text in place of messages. */
const withMessages = (body: Json): Json => {
  if (Array.isArray(body.messages)) return body
  return { ...body, messages: [{ role: 'user', content: [{ text: text(body.inputText ?? body.prompt) }] }] }
}

const chunk = (event: Json): Buffer =>
  eventFrame('chunk', { bytes: Buffer.from(JSON.stringify(event)).toString('base64') })

function* novaEvents(turn: Turn): Iterable<Json> {
  for (const [name, payload] of converseEvents(turn)) yield { [name]: payload }
  yield { metadata: { ...(turn.usage === null ? {} : { usage: novaUsage(turn.usage) }), metrics: {} } }
}

/** Nova counts like Converse, in names of its own. */
const novaUsage = (usage: Usage) => ({
  inputTokens: usage.input - usage.cached,
  outputTokens: usage.output,
  totalTokens: usage.input + usage.output,
  cacheReadInputTokenCount: usage.cached,
  cacheWriteInputTokenCount: 0,
})

const invocationMetrics = ({ usage }: Turn): Json => {
  if (usage === null) return {}
  const counts = {
    inputTokenCount: usage.input - usage.cached,
    outputTokenCount: usage.output,
    cacheReadInputTokenCount: usage.cached,
    cacheWriteInputTokenCount: 0,
  }
  return { 'amazon-bedrock-invocationMetrics': { ...counts, invocationLatency: 1, firstByteLatency: 1 } }
}
