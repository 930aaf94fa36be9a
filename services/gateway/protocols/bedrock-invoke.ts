import type { Usage } from '../../../schemas/llm.ts'
import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { messagesReader } from './anthropic-meter.ts'
import { converseReader, readConverse, takeException } from './bedrock-converse.ts'
import { completedBy, counted } from './bedrock-usage.ts'
import type { AnswerReader, Findings } from './findings.ts'
import { count, get, isObject, list, parse, text } from './json.ts'
import { chatReader } from './openai-chat.ts'

/**
 * Models invoked with bodies of their own. Anthropic's, Nova's (Converse's) and those of chat are read as what they are;
 * of the others the texts and the counts that they tell.
 */
export const invokeReader: AnswerReader = {
  bulk: ['embedding', 'embeddings', 'embeddingsByType', 'images', 'artifacts'],
  array: false,
  whole(document, found) {
    const own = readerOf(document)
    if (own === null) takePlain(document, found)
    else own.whole(document, found)
    // Whatever a model answers with is its own affair.
    found.recognised = found.ended = isObject(document)
  },
  written(document, output) {
    const own = readerOf(document)
    if (own === null) addPlain(document, output)
    else own.written(document, output)
  },
  event: () => false,
}

export const invokeStreamReader: AnswerReader = {
  ...invokeReader,
  frames: true,
  event(name, data, found, output) {
    const frame = parse(data)
    if (name.startsWith('exception ')) {
      takeException(name, frame, found)
      return false
    }
    const bytes = get(frame, 'bytes')
    if (typeof bytes !== 'string') return false
    const json = Buffer.from(bytes, 'base64').toString('utf8')
    const event = parse(json)
    if (isObject(event)) readEvent(json, event, found, output)
    else found.malformed = true
    return false
  },
}

/** By the model's id; where an ARN hides it, by what only such a body has. Images are no text, and have no tokens. */
export function operationOf(model: string, body: unknown): string {
  if (/rerank/i.test(model)) return 'rerank'
  if (/canvas|titan-image|stability\.|stable-/i.test(model)) return 'generate_image'
  const embedding =
    /embed/i.test(model) ||
    /EMBEDDING/.test(String(get(body, 'taskType'))) ||
    (get(body, 'texts') !== undefined && get(body, 'input_type') !== undefined) ||
    (get(body, 'inputText') !== undefined &&
      ['normalize', 'dimensions', 'embeddingTypes', 'embeddingConfig'].some(key => get(body, key) !== undefined))
  return embedding ? 'embeddings' : 'chat'
}

function readerOf(document: unknown): AnswerReader | null {
  if (get(document, 'type') === 'message' || get(document, 'type') === 'error') return messagesReader
  if (isObject(get(get(document, 'output'), 'message'))) return converseReader
  return Array.isArray(get(document, 'choices')) ? chatReader : null
}

function readEvent(json: string, event: unknown, found: Findings, output: OutputSize): void {
  found.recognised = true
  const [nova] = novaEvents.filter(name => isObject(get(event, name)))
  if (typeof get(event, 'type') === 'string') messagesReader.event('', json, found, output)
  else if (nova !== undefined) readConverse(nova, get(event, nova), found, output)
  else if (Array.isArray(get(event, 'choices'))) chatReader.event('', json, found, output)
  else {
    const before = output.bytes()
    takePlain(event, found)
    addPlain(event, output)
    if (output.bytes() > before) found.content = true
  }
  takeMetrics(get(event, 'amazon-bedrock-invocationMetrics'), found)
}

const novaEvents = ['messageStart', 'contentBlockStart', 'contentBlockDelta', 'messageStop', 'metadata']

/** The last chunk has Bedrock's own counts beside the model's words. What the model told of itself comes first. */
function takeMetrics(metrics: unknown, found: Findings): void {
  if (!isObject(metrics)) return
  found.ended = true
  found.rawUsage ??= metrics
  const bedrock = counted({
    input: count(get(metrics, 'inputTokenCount')),
    output: count(get(metrics, 'outputTokenCount')),
    read: count(get(metrics, 'cacheReadInputTokenCount')),
    write: count(get(metrics, 'cacheWriteInputTokenCount')),
  })
  found.usage = completedBy(found.usage, bedrock)
}

/** Titan, Llama, Mistral's and Cohere's older bodies, and embeddings: flat documents with names of their own. */
function takePlain(document: unknown, found: Findings): void {
  const [first] = [
    ...list(get(document, 'results')),
    ...list(get(document, 'outputs')),
    ...list(get(document, 'generations')),
  ]
  const input = firstCount(document, ['inputTextTokenCount', 'prompt_token_count'])
  const output =
    firstCount(document, ['totalOutputTextTokenCount', 'generation_token_count']) ?? count(get(first, 'tokenCount'))
  const told: Usage = {}
  if (input !== undefined) told.input_tokens = input
  if (output !== undefined) told.output_tokens = output
  if (input !== undefined || output !== undefined) found.usage = { ...found.usage, ...told }
  found.model = text(get(document, 'model')) ?? found.model
  found.responseId = text(get(document, 'id')) ?? found.responseId
  for (const from of [document, first])
    for (const key of ['stop_reason', 'completionReason', 'finish_reason', 'finishReason'])
      found.finishReason = text(get(from, key)) ?? found.finishReason
}

const firstCount = (document: unknown, keys: readonly string[]): number | undefined =>
  keys.map(key => count(get(document, key))).find(value => value !== undefined)

function addPlain(document: unknown, output: Output): void {
  for (const from of [
    document,
    ...list(get(document, 'results')),
    ...list(get(document, 'outputs')),
    ...list(get(document, 'generations')),
  ])
    for (const key of ['outputText', 'generation', 'completion', 'text']) {
      const words = get(from, key)
      if (typeof words === 'string') output.add(words)
    }
}
