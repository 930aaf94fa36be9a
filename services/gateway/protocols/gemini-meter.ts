import type { Usage } from '../../../schemas/llm.ts'
import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { type AnswerReader, errorIn, type Findings, noExtras } from './findings.ts'
import { count, get, isObject, list, parse, text } from './json.ts'

/** `generateContent`, whole and streamed; each chunk of a stream has the shape of a whole answer. */
export const contentReader: AnswerReader = {
  bulk: [],
  array: false,
  whole(document, found) {
    take(document, found)
    found.ended = true
  },
  written(document, output) {
    for (const candidate of list(get(document, 'candidates'))) addParts(candidate, output)
  },
  event: readChunk,
}

export const streamReader: AnswerReader = { ...contentReader, array: true }

/** Embeddings, token counts and lists of models. */
export const plainReader: AnswerReader = {
  bulk: ['embedding', 'embeddings'],
  array: false,
  whole(document, found) {
    take(document, found)
    found.recognised = found.ended = isObject(document)
  },
  written() {},
  event: () => false,
}

function readChunk(_name: string, data: string, found: Findings, output: OutputSize): boolean {
  const chunk = parse(data)
  if (!isObject(chunk)) {
    if (data.trim() !== '' && !data.startsWith('[DONE]')) found.malformed = true
    return false
  }
  take(chunk, found)
  for (const candidate of list(get(chunk, 'candidates'))) {
    const before = output.bytes()
    addParts(candidate, output)
    if (output.bytes() > before || hasMedia(candidate)) found.content = true
    if (text(get(candidate, 'finishReason')) !== null) found.ended = true
  }
  // A refused prompt has no candidates, so nothing else would end it.
  if (text(get(get(chunk, 'promptFeedback'), 'blockReason')) !== null) found.ended = true
  return false
}

/** Usage stands in every chunk and is not monotone: the last one counts, as a whole. */
function take(document: unknown, found: Findings): void {
  const candidates = get(document, 'candidates')
  const usage = get(document, 'usageMetadata')
  found.model = text(get(document, 'modelVersion')) ?? found.model
  found.responseId = text(get(document, 'responseId')) ?? found.responseId
  found.finishReason = text(get(list(candidates)[0], 'finishReason')) ?? found.finishReason
  if (get(document, 'error') != null) found.error = errorIn(document)
  addContent(found.said, get(list(candidates)[0], 'content'))
  if (isObject(usage)) {
    found.rawUsage = usage
    found.usage = usageOf(usage)
    found.extras = extrasOf(usage)
  }
  if (Array.isArray(candidates) || isObject(usage) || isObject(get(document, 'promptFeedback'))) found.recognised = true
  if (found.error !== null) found.recognised = true
}

/** The prompt has the cached tokens inside; what tools at the provider put into it, and thoughts, are told beside. */
function usageOf(usage: unknown): Usage {
  const told: Usage = {}
  const prompt = count(get(usage, 'promptTokenCount'))
  const tools = count(get(usage, 'toolUsePromptTokenCount'))
  const candidates = count(get(usage, 'candidatesTokenCount'))
  const thoughts = count(get(usage, 'thoughtsTokenCount'))
  const cached = count(get(usage, 'cachedContentTokenCount'))
  if (prompt !== undefined || tools !== undefined) told.input_tokens = (prompt ?? 0) + (tools ?? 0)
  if (candidates !== undefined || thoughts !== undefined) told.output_tokens = (candidates ?? 0) + (thoughts ?? 0)
  if (cached !== undefined) told.cache_read_tokens = cached
  if (thoughts !== undefined) told.reasoning_tokens = thoughts
  return told
}

/** Sound, pictures and films have prices of their own. A page of a document is priced as a picture. */
const modalities: Readonly<Record<string, string>> = {
  AUDIO: 'audio',
  IMAGE: 'image',
  DOCUMENT: 'image',
  VIDEO: 'video',
}
const details: readonly (readonly [field: string, name: (modality: string) => string])[] = [
  ['promptTokensDetails', modality => `input_${modality}_tokens`],
  ['toolUsePromptTokensDetails', modality => `input_${modality}_tokens`],
  ['cacheTokensDetails', modality => `cache_${modality}_read_tokens`],
  ['candidatesTokensDetails', modality => `output_${modality}_tokens`],
]

function extrasOf(usage: unknown): Readonly<Record<string, number>> {
  let extras: Record<string, number> | null = null
  for (const [field, nameOf] of details)
    for (const detail of list(get(usage, field))) {
      const modality = modalities[String(get(detail, 'modality'))]
      const tokens = count(get(detail, 'tokenCount'))
      if (modality === undefined || !tokens) continue
      extras ??= {}
      const name = nameOf(modality)
      extras[name] = (extras[name] ?? 0) + tokens
    }
  return extras ?? noExtras
}

function addParts(candidate: unknown, output: Output): void {
  for (const part of list(get(get(candidate, 'content'), 'parts'))) {
    const call = get(part, 'functionCall')
    if (isObject(call)) output.call(20)
    for (const value of [get(part, 'text'), get(call, 'name'), get(get(part, 'executableCode'), 'code')])
      if (typeof value === 'string') output.add(value)
    if (isObject(get(call, 'args'))) output.add(JSON.stringify(get(call, 'args')))
  }
}

/** The parts of a stream's chunks are those of one content; texts in a row are pieces of one text. */
function addContent(said: unknown[], content: unknown): void {
  const parts = list(get(content, 'parts'))
  if (parts.length === 0) return
  const draft = (said[0] ?? { role: 'model', parts: [] }) as { role: string; parts: unknown[] } // made here and nowhere else
  said[0] = draft
  draft.parts.push(...parts)
}

const hasMedia = (candidate: unknown): boolean =>
  list(get(get(candidate, 'content'), 'parts')).some(part => isObject(get(part, 'inlineData')))
