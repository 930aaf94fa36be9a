import { type Json, list, plainText, record, records, text, wholeNumber } from './json.ts'
import { digest } from './seed.ts'
import { countTokens, tokensOf } from './tokens.ts'
import { vectorOf } from './vector.ts'
import type { Asked } from './wire.ts'

/** `/v2/embed` */
export const embed = ({ body }: Asked): unknown => {
  const inputs = records(body.inputs).map(input => plainText(input.content))
  const texts = [...list(body.texts).map(text), ...list(body.images).map(text), ...inputs]
  return {
    id: digest(JSON.stringify(texts)),
    embeddings: vectorsByType(texts, body),
    texts,
    meta: { api_version: VERSION_2, billed_units: { input_tokens: countTokens(texts) } },
    response_type: 'embeddings_by_type',
  }
}

/** `/v2/rerank` */
export const rerank = ({ body }: Asked): unknown => ({
  id: digest(JSON.stringify([body.query, body.documents])),
  results: ranked(body),
  meta: { api_version: VERSION_2, billed_units: { search_units: 1 } },
})

/** `/v1/tokenize` */
export const tokenize = ({ body }: Asked): unknown => {
  const token_strings = tokensOf(text(body.text))
  const tokens = token_strings.map(token => Number.parseInt(digest(token).slice(0, 4), 16))
  return { tokens, token_strings, meta: { api_version: { version: '1' } } }
}

/** Numbers in each of the forms asked for; floats where none is. */
export const vectorsByType = (texts: readonly string[], body: Json): Readonly<Record<string, readonly unknown[]>> => {
  const wanted = list(body.embedding_types).map(text)
  const vectors = texts.map(text => vectorOf(text, wholeNumber(body.output_dimension) ?? 0))
  const forms = Object.entries(FORMS).filter(([name]) => wanted.includes(name))
  return Object.fromEntries(
    (forms.length === 0 ? Object.entries(FORMS).slice(0, 1) : forms).map(([name, form]) => [name, vectors.map(form)]),
  )
}

/** The best first. Words that a document shares with the query are its merit. */
export const ranked = (body: Json): readonly { readonly index: number; readonly relevance_score: number }[] => {
  const sought = wordsOf(text(body.query))
  const scored = list(body.documents).map((document, index) => {
    const found = wordsOf(typeof document === 'string' ? document : text(record(document).text))
    const shared = [...sought].filter(word => found.has(word)).length
    return { index, relevance_score: sought.size === 0 ? 0 : shared / sought.size }
  })
  const best = scored.sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
  return best.slice(0, wholeNumber(body.top_n) ?? best.length)
}

const VERSION_2 = { version: '2' }

type Vector = readonly number[]

const FORMS: Readonly<Record<string, (vector: Vector) => unknown>> = {
  float: vector => vector,
  int8: vector => vector.map(value => Math.round(value * 127)),
  uint8: vector => vector.map(value => Math.round(value * 127) + 128),
  binary: vector => bits(vector).map(byte => byte - 128),
  ubinary: vector => bits(vector),
  base64: vector => Buffer.from(Float32Array.from(vector).buffer).toString('base64'),
}

/** Eight signs in a byte. */
const bits = (vector: Vector): readonly number[] =>
  Array.from({ length: Math.ceil(vector.length / 8) }, (_, i) =>
    vector.slice(i * 8, i * 8 + 8).reduce((byte, value, at) => byte | ((value > 0 ? 1 : 0) << (7 - at)), 0),
  )

const wordsOf = (said: string): ReadonlySet<string> => new Set(tokensOf(said.toLowerCase()).map(word => word.trim()))
