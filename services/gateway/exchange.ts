import { Fault } from '../io/fault.ts'
import { type Decoder, decoderOf, type Encoding, encodingOf, inflated } from './decoder.ts'
import { headerOf } from './headers.ts'
import type { AnswerHead, Meter, Reading } from './protocols/protocol.ts'
import type { Exchange, Upstream, UpstreamRequest } from './upstream.ts'

/**
 * One try at one target. A stream is passed on as it comes, with back-pressure, while the meter reads it; everything else
 * is held until it is whole, so that its cost can stand in a header and nothing broken is passed on as an answer.
 */
export type Try = Timing &
  (
    | {
        readonly kind: 'whole'
        readonly status: number
        readonly headers: readonly string[]
        readonly body: Buffer
        readonly reading: Reading
      }
    | {
        readonly kind: 'streamed'
        readonly status: number
        readonly reading: Reading
        /** `broken`: the upstream; `left`: the client. */
        readonly how: 'complete' | 'broken' | 'left'
        readonly fault: Fault | null
      }
    /** Nothing reached the client, so another target may be tried. */
    | { readonly kind: 'failed'; readonly fault: Fault; readonly status: number | null }
    /** The client left before anything could be passed on. */
    | { readonly kind: 'left'; readonly status: number | null }
  )

/** Milliseconds from the start of the try. `ttftMs`: to the first chunk of a stream that carried content. */
export type Timing = { readonly latencyMs: number; readonly ttfbMs: number | null; readonly ttftMs: number | null }

/** The client's side of a call, as one try needs it. */
export type Client = {
  readonly gone: boolean
  /** Called once when the client leaves before its answer is complete; null takes the wish back. */
  onLeft: (() => void) | null
  onDrain: (() => void) | null
  head(status: number, headers: readonly string[]): void
  /** False: wait for `onDrain`. */
  write(chunk: Buffer): boolean
}

export type TryOptions = {
  readonly upstream: Upstream
  readonly request: UpstreamRequest
  readonly client: Client
  /** The client asked for a stream. */
  readonly stream: boolean
  readonly meter: (head: AnswerHead) => Meter
  /** The headers of a stream towards the client. */
  readonly headers: (raw: readonly string[], decoded: boolean) => readonly string[]
}

/** Above this an answer is no longer held but passed on unread; larger than any model's answer with images in it. */
const heldBytes = 64 * 1024 * 1024

export function attempt(options: TryOptions): Promise<Try> {
  const { client, request } = options
  const began = performance.now()
  const since = () => performance.now() - began

  return new Promise(resolve => {
    let over = false
    let status: number | null = null
    let raw: readonly string[] = []
    let meter: Meter | null = null
    let decoder: Decoder | null = null
    let streaming = false
    let held: Buffer[] = []
    let heldSize = 0
    let ttfbMs: number | null = null
    let ttftMs: number | null = null

    const settle = (result: Try | OmitTiming<Try>) => {
      if (over) return
      over = true
      decoder?.stop()
      client.onLeft = null
      client.onDrain = null
      resolve({ ...result, latencyMs: since(), ttfbMs, ttftMs } as Try) // the timing is what was missing
    }

    const pass = (pieces: readonly Buffer[]): boolean => {
      let room = true
      for (const piece of pieces) if (piece.length > 0) room = client.write(piece)
      return room
    }

    const read = (chunk: Buffer): boolean => {
      if (meter === null || over) return true
      const room = pass(meter.push(chunk))
      if (ttftMs === null && meter.hasContent()) ttftMs = since()
      return room
    }

    const beginStream = () => {
      streaming = true
      const encoding = encodingOf(raw)
      decoder =
        encoding === null
          ? null
          : decoderOf(encoding, {
              read,
              drained: () => exchange.resume(),
              ended(fault) {
                exchange.abort() // what it says beyond its own end is nobody's
                endStream(fault === null ? 'complete' : 'broken', fault)
              },
            })
      client.head(status ?? 200, options.headers(raw, decoder !== null))
      client.onDrain = () => (decoder ?? exchange).resume()
    }

    const endStream = (how: 'complete' | 'broken' | 'left', fault: Fault | null) => {
      const { rest, reading } = meter!.end(how === 'complete') // a stream has begun: there is a meter
      if (how !== 'left') pass(rest)
      settle({ kind: 'streamed', status: status ?? 200, reading, how, fault })
    }

    const exchange: Exchange = options.upstream.send(request, {
      head(code, headers) {
        status = code
        raw = headers
        ttfbMs = since()
        if (code >= 300 && code < 400) {
          exchange.abort()
          return settle({
            kind: 'failed',
            status,
            fault: new Fault('upstream_redirect', 'the upstream redirects, which is not followed'),
          })
        }
        const contentType = headerOf(headers, 'content-type') ?? ''
        meter = options.meter({ status: code, contentType, header: name => headerOf(headers, name) })
        if (code < 300 && (options.stream || contentType.includes('event-stream'))) beginStream()
      },
      data(chunk) {
        if (streaming) return decoder === null ? read(chunk) : decoder.write(chunk)
        held.push(chunk)
        heldSize += chunk.length
        if (heldSize <= heldBytes) return true
        beginStream()
        const whole = held
        held = []
        return whole.map(piece => (decoder === null ? read(piece) : decoder.write(piece))).every(Boolean)
      },
      end() {
        if (decoder !== null) return decoder.end()
        if (streaming) return endStream('complete', null)
        const body = held.length === 1 ? held[0]! : Buffer.concat(held, heldSize)
        settle({
          kind: 'whole',
          status: status ?? 200,
          headers: raw,
          body,
          reading: readWhole(meter!, body, encodingOf(raw)),
        })
      },
      fail(fault) {
        if (streaming) return endStream('broken', fault)
        settle({ kind: 'failed', status, fault })
      },
    })

    if (over) return
    client.onLeft = () => {
      exchange.abort()
      if (streaming) endStream('left', null)
      else settle({ kind: 'left', status })
    }
    if (client.gone) client.onLeft()
  })
}

type OmitTiming<T> = T extends unknown ? Omit<T, keyof Timing> : never

function readWhole(meter: Meter, body: Buffer, encoding: Encoding | null): Reading {
  meter.push(encoding === null ? body : inflated(body, encoding, heldBytes))
  return meter.end(true).reading
}
