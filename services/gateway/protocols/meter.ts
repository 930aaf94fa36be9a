import { readFrames } from '../../core/wire/frames.ts'
import { readElements } from '../../core/wire/json-elements.ts'
import { outputSize, tokensOf } from '../../core/wire/output-size.ts'
import { type EventReader, readEvents } from '../../core/wire/sse.ts'
import { documentOf } from './document.ts'
import { type AnswerReader, errorIn, type Findings, nothingFound } from './findings.ts'
import type { AnswerHead, Meter, MeterOptions, Reading } from './protocol.ts'

/**
 * The largest whole answer that is read; larger ones pass unread, and what they would have
 * said is estimated. It is the limit of a request's body, and holds images in base64 and a page of embeddings.
 */
export const maxReadBytes = 32 * 1024 * 1024
/** Of a stream, a quarter of that: an event that does not end is held while it grows, by every stream that does so. */
const maxEventBytes = 8 * 1024 * 1024

/**
 * Up to here the text of a streamed answer is put together, to tie what comes after it and to see its tool calls. A stream
 * that goes on is no answer that anybody sends back; what it has said is let go.
 */
const maxSaidBytes = 4 * 1024 * 1024

const forgetLong = (found: Findings, output: { readonly bytes: () => number }): void => {
  if (found.said.length > 0 && output.bytes() > maxSaidBytes) found.said = []
}

/** How much of an unfinished event is held back; what is larger is no usage chunk and is passed on as it comes. */
const maxHeldBytes = 256 * 1024

/**
 * Reads an answer while it passes. Which kind it is, its first byte says: content types lie (errors come as
 * `application/octet-stream`, error documents where a stream was asked for, streams as arrays).
 */
export function meterOf(reader: AnswerReader, head: AnswerHead, options: MeterOptions): Meter {
  const found = nothingFound()
  const output = outputSize()
  const good = head.status >= 200 && head.status < 300
  let inner: Inner | null = null

  const begin = (chunk: Buffer): Inner | null => {
    const first = chunk[firstAt(chunk)]
    if (first === undefined) return null
    if (first === openBracket && good && reader.array) return arrayOf(reader, found, output)
    if (first === openBrace || first === openBracket) return wholeOf(reader, found, good)
    // A frame's length has four bytes, of which the first is 0 for anything below 16 MiB.
    if (reader.frames === true && first <= 1)
      return eventsOf(readFrames(maxEventBytes), reader, found, output, good, options)
    const events = fieldStarts.has(first) || head.contentType.includes('event-stream')
    return events ? eventsOf(readEvents(maxEventBytes), reader, found, output, good, options) : foreign
  }

  return {
    push(chunk) {
      inner ??= begin(chunk)
      return inner === null ? [chunk] : inner.push(chunk)
    },
    hasContent: () => found.content,
    end(whole) {
      const { rest, closed, outputBytes, outputTokens } = (inner ?? foreign).end(whole)
      const sound = whole && closed && !found.malformed
      const complete = good
        ? sound && found.recognised && found.ended && found.error === null
        : sound && found.error !== null
      const reading: Reading = {
        model: found.model,
        responseId: found.responseId,
        usage: found.usage,
        extras: found.extras,
        rawUsage: found.rawUsage,
        wireCostUsd: found.wireCostUsd,
        finishReason: found.finishReason,
        error: found.error,
        complete,
        queued: found.queued,
        outputBytes: good ? (outputBytes ?? output.bytes()) : 0,
        estimatedOutputTokens: good ? (outputTokens ?? output.tokens()) : 0,
        said: output.bytes() > maxSaidBytes ? [] : found.said,
      }
      return { rest, reading }
    },
  }
}

type Inner = {
  readonly push: (chunk: Buffer) => readonly Buffer[]
  readonly end: (whole: boolean) => Ended
}
/** `closed`: the text itself came to its end. Sizes where they are known otherwise than by the texts that streamed. */
type Ended = {
  readonly rest: readonly Buffer[]
  readonly closed: boolean
  readonly outputBytes?: number
  readonly outputTokens?: number
}

/** What is no answer of any protocol: a web page, a plain text. */
const foreign: Inner = { push: chunk => [chunk], end: () => ({ rest: [], closed: false }) }

/** An answer that is one JSON document. The chunks are kept, not copied, until it is whole. */
function wholeOf(reader: AnswerReader, found: Findings, good: boolean): Inner {
  let chunks: Buffer[] = []
  let size = 0
  return {
    push(chunk) {
      size += chunk.length
      if (size <= maxReadBytes) chunks.push(chunk)
      else chunks = []
      return [chunk]
    },
    end() {
      const unread = { rest: [], closed: false, outputBytes: size, outputTokens: Math.ceil(size / 4) }
      if (size > maxReadBytes) {
        found.recognised = found.ended = true // nothing says otherwise: what is too large to read is not an error
        return { ...unread, closed: true }
      }
      const bytes = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size) // one there is
      const document = documentOf(bytes.subarray(Math.max(0, firstAt(bytes))), good ? reader.bulk : [])
      if (document === undefined) return { ...unread, outputTokens: good ? tokensOf(bytes.toString('utf8')) : 0 }
      if (!good) found.error = errorIn(document)
      else reader.whole(document, found)
      return { rest: [], closed: true, ...sizeOf(reader, document, found) }
    },
  }
}

/** Tokens are counted from the text only where the provider did not count them. */
function sizeOf(reader: AnswerReader, document: unknown, found: Findings) {
  const told = found.usage?.output_tokens
  if (told === undefined) {
    const output = outputSize()
    reader.written(document, output)
    return { outputBytes: output.bytes(), outputTokens: output.tokens() }
  }
  let outputBytes = 0
  reader.written(document, {
    add(text) {
      outputBytes += Buffer.byteLength(text)
    },
    call() {},
  })
  return { outputBytes, outputTokens: told }
}

/** A stream of events. Nothing is held back unless usage is hidden or events are to stay whole. */
function eventsOf(
  events: EventReader & { readonly whole?: () => boolean },
  reader: AnswerReader,
  found: Findings,
  output: ReturnType<typeof outputSize>,
  good: boolean,
  options: MeterOptions,
): Inner {
  const closed = () => events.whole?.() ?? true
  let usageOnly = false
  const read = (name: string, data: string | null): void => {
    usageOnly = data !== null && good && reader.event(name, data, found, output)
    forgetLong(found, output)
    if (!good && data !== null && found.error === null) found.error = errorIn(documentOf(Buffer.from(data), []))
  }
  if (options.hideUsage !== true && options.wholeEvents !== true)
    return {
      push(chunk) {
        events.push(chunk, read)
        return [chunk]
      },
      end() {
        events.end(read)
        return { rest: [], closed: closed() }
      },
    }
  return heldEvents(events, read, () => options.hideUsage === true && usageOnly, closed)
}

/**
 * Passes events on when they are whole, so that one can be taken out, and so that an error event of ours can follow: a
 * client has no use for half an event anyway. `hidden` is asked right after an event was read.
 */
function heldEvents(
  events: EventReader,
  read: (name: string, data: string | null) => void,
  hidden: () => boolean,
  closed: () => boolean,
): Inner {
  let held: Buffer[] = []
  let heldSize = 0
  let lastHidden = false
  let spilled = false // the beginning of the event under way has been passed on, so its end must follow
  return {
    push(chunk) {
      const out: Buffer[] = []
      let from = 0 // where in this chunk the unfinished event begins
      let keptFrom = 0 // from here to `from` nothing is hidden
      if (heldSize === 0 && !spilled && events.betweenCrLf() && chunk[0] === 0x0a) {
        from = 1
        if (lastHidden) keptFrom = 1
      }
      const flush = (to: number) => {
        if (to > keptFrom) out.push(keptFrom === 0 && to === chunk.length ? chunk : chunk.subarray(keptFrom, to))
      }
      events.push(chunk, (name, data, next) => {
        read(name, data)
        lastHidden = hidden() && !spilled
        spilled = false
        if (lastHidden) {
          flush(from)
          keptFrom = next
        } else if (heldSize > 0) out.push(...held)
        if (heldSize > 0) held = []
        heldSize = 0
        from = next
      })
      flush(from)
      if (from < chunk.length) {
        held.push(from === 0 ? chunk : chunk.subarray(from))
        heldSize += chunk.length - from
      }
      if (heldSize > maxHeldBytes) {
        out.push(...held)
        held = []
        heldSize = 0
        spilled = true
      }
      return out
    },
    end(whole) {
      let last = false
      events.end((name, data) => {
        read(name, data)
        last = hidden() && !spilled
      })
      return { rest: whole && !last ? held : [], closed: closed() }
    },
  }
}

/** A stream whose events are the elements of one JSON array. */
function arrayOf(reader: AnswerReader, found: Findings, output: ReturnType<typeof outputSize>): Inner {
  const elements = readElements(maxEventBytes, json => {
    reader.event('', json, found, output)
    forgetLong(found, output)
  })
  return {
    push(chunk) {
      elements.push(chunk)
      return [chunk]
    },
    end: () => ({ rest: [], closed: elements.closed() }),
  }
}

const openBrace = 0x7b
const openBracket = 0x5b
/** What a line of an event stream begins with: `data`, `event`, `id`, `retry`, or a comment. */
const fieldStarts = new Set([...'deir:'].map(char => char.charCodeAt(0)))
/** White space and a byte order mark say nothing. */
const insignificant = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf])

const firstAt = (bytes: Buffer): number => bytes.findIndex(byte => !insignificant.has(byte))
