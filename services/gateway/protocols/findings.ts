import type { Usage } from '../../../schemas/llm.ts'
import type { Output, OutputSize } from '../../core/wire/output-size.ts'
import { get, isObject, text } from './json.ts'

/** What has been found in one answer so far; a reader fills it in while the answer passes. */
export type Findings = {
  model: string | null
  responseId: string | null
  usage: Usage | null
  extras: Readonly<Record<string, number>>
  rawUsage: unknown
  wireCostUsd: number | null
  finishReason: string | null
  error: { readonly type: string; readonly message: string } | null
  /** Something that only this protocol says was seen. */
  recognised: boolean
  /** The protocol's own end was seen. */
  ended: boolean
  queued: boolean
  /** A part that should have been JSON was none. */
  malformed: boolean
  /** A first token of content was seen. */
  content: boolean
  /** What the model said, as turns in the protocol's own shape: as a client would send it back. */
  said: unknown[]
}

export const nothingFound = (): Findings => ({
  model: null,
  responseId: null,
  usage: null,
  extras: noExtras,
  rawUsage: null,
  wireCostUsd: null,
  finishReason: null,
  error: null,
  recognised: false,
  ended: false,
  queued: false,
  malformed: false,
  content: false,
  said: [],
})

export const noExtras: Readonly<Record<string, number>> = Object.freeze({})

/** A protocol's part in metering an answer of one shape. Stateless: all state is in the findings. */
export type AnswerReader = {
  /** Members of a whole answer that are large and say nothing of its cost: they are passed over, not parsed. */
  readonly bulk: readonly string[]
  /** The answer is one JSON document. */
  readonly whole: (document: unknown, found: Findings) => void
  /** Everything that the model wrote in a whole answer. */
  readonly written: (document: unknown, output: Output) => void
  /** One event of a stream. True: it carries nothing but usage. */
  readonly event: (name: string, data: string, found: Findings, output: OutputSize) => boolean
  /** Streams of this shape may also come as one JSON array, whose elements are the events. */
  readonly array: boolean
  /** Streams of this shape come as frames of AWS's event streams. */
  readonly frames?: boolean
}

/**
 * The error that a document carries, in whichever place vendors put it: `error` as an object or a text, the document
 * itself, or the first of a list of such.
 */
export function errorIn(document: unknown): Findings['error'] {
  const it = Array.isArray(document) ? document[0] : document
  const error = get(it, 'error')
  if (typeof error === 'string')
    return { type: text(get(it, 'type')) ?? error.slice(0, 200), message: error.slice(0, maxMessage) }
  if (isObject(error)) return describe(error)
  if (typeof (get(it, 'message') ?? get(it, 'Message')) === 'string' || get(it, 'detail') !== undefined)
    return describe(it)
  return null
}

/** The provider's word for an error: its `type`, else `status`, else `code`. */
export function describe(error: unknown): { type: string; message: string } {
  const word = [get(error, 'type'), get(error, 'status'), get(error, 'code'), get(error, '__type')].find(
    value => typeof value === 'number' || text(value) !== null,
  )
  const message = get(error, 'message') ?? get(error, 'Message') ?? get(error, 'detail') ?? ''
  return {
    type: word === undefined ? 'error' : String(word).slice(0, 200),
    message: (typeof message === 'string' ? message : (JSON.stringify(message) ?? '')).slice(0, maxMessage),
  }
}

/** An error's text is for a row and a log line; providers put whole documents there. */
const maxMessage = 2000
