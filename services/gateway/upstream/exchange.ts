import type { Standing } from '../../core/runs/stops.ts'
import { Fault } from '../../io/fault.ts'
import type { AnswerHead, Meter, Reading } from '../protocols/protocol.ts'
import { type Decoder, decoderOf, type Encoding, encodingOf, inflated } from './decoder.ts'
import { headerOf } from './headers.ts'
import type { Answer, Exchange, Upstream, UpstreamRequest } from './upstream.ts'

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
        /** `broken`: the upstream; `left`: the client; `stopped`: it was killed. */
        readonly how: 'complete' | 'broken' | 'left' | 'stopped'
        readonly fault: Fault | null
      }
    /** Nothing reached the client, so another target may be tried. */
    | { readonly kind: 'failed'; readonly fault: Fault; readonly status: number | null }
    /** The client left before anything could be passed on. */
    | { readonly kind: 'left'; readonly status: number | null }
    /** It was killed before anything could be passed on. `sent`: whether a provider was asked. */
    | { readonly kind: 'stopped'; readonly status: number | null; readonly sent: boolean }
  )

/** Milliseconds from the start of the try. `ttftMs`: to the first chunk of a stream that carried content. */
export type Timing = { readonly latencyMs: number; readonly ttfbMs: number | null; readonly ttftMs: number | null }

/** Who is told what the client does on its own account. */
export type ClientListener = {
  /** It left before its answer was complete. Called once. */
  left(): void
  /** It takes more again. */
  drained(): void
  /** Nothing more is to be done for it. Called once. */
  stopped(): void
}

/** The client's side of a call, as one try needs it. */
export type Client = {
  readonly gone: boolean
  /** By whom it was killed, if it was. */
  readonly stopped: Standing | null
  listener: ClientListener | null
  head(status: number, headers: readonly string[]): void
  /** False: wait for `drained`. */
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

export const attempt = (options: TryOptions): Promise<Try> =>
  new Promise(resolve => new Attempt(options, resolve).begin())

/** One object with methods, where closures would be a dozen objects for each request. */
class Attempt implements Answer, ClientListener {
  readonly #options: TryOptions
  readonly #resolve: (result: Try) => void
  readonly #began = performance.now()
  #exchange: Exchange | null = null
  #over = false
  #status: number | null = null
  #raw: readonly string[] = []
  #meter: Meter | null = null
  #decoder: Decoder | null = null
  #streaming = false
  #held: Buffer[] = []
  #heldSize = 0
  #ttfbMs: number | null = null
  #ttftMs: number | null = null

  constructor(options: TryOptions, resolve: (result: Try) => void) {
    this.#options = options
    this.#resolve = resolve
  }

  begin(): void {
    const { upstream, request, client } = this.#options
    if (client.stopped !== null) {
      this.#settle({ kind: 'stopped', ...this.#timing(), status: null, sent: false })
      return
    }
    this.#exchange = upstream.send(request, this)
    client.listener = this
    if (client.gone) this.left()
  }

  head(status: number, raw: readonly string[]): void {
    this.#status = status
    this.#raw = raw
    this.#ttfbMs = this.#since()
    if (status >= 300 && status < 400) {
      this.#exchange?.abort()
      this.#fail(new Fault('upstream_redirect', 'the upstream redirects, which is not followed'))
      return
    }
    const contentType = headerOf(raw, 'content-type') ?? ''
    this.#meter = this.#options.meter({ status, contentType, header: name => headerOf(raw, name) })
    if (status < 300 && (this.#options.stream || contentType.includes('event-stream'))) this.#beginStream()
  }

  data(chunk: Buffer): boolean {
    if (this.#streaming) return this.#take(chunk)
    this.#held.push(chunk)
    this.#heldSize += chunk.length
    if (this.#heldSize <= heldBytes) return true
    this.#beginStream()
    const whole = this.#held
    this.#held = []
    return whole.map(piece => this.#take(piece)).every(Boolean)
  }

  end(): void {
    if (this.#decoder !== null) this.#decoder.end()
    else if (this.#streaming) this.#endStream('complete', null)
    else this.#endWhole()
  }

  fail(fault: Fault): void {
    if (this.#streaming) this.#endStream('broken', fault)
    else this.#fail(fault)
  }

  left(): void {
    this.#exchange?.abort()
    if (this.#streaming) this.#endStream('left', null)
    else this.#settle({ kind: 'left', ...this.#timing(), status: this.#status })
  }

  stopped(): void {
    this.#exchange?.abort()
    if (this.#streaming) this.#endStream('stopped', null)
    else this.#settle({ kind: 'stopped', ...this.#timing(), status: this.#status, sent: true })
  }

  drained(): void {
    if (this.#decoder === null) this.#exchange?.resume()
    else this.#decoder.resume()
  }

  #beginStream(): void {
    this.#streaming = true
    const encoding = encodingOf(this.#raw)
    if (encoding !== null)
      this.#decoder = decoderOf(encoding, {
        read: chunk => this.#read(chunk),
        drained: () => this.#exchange?.resume(),
        ended: fault => {
          this.#exchange?.abort() // what it says beyond its own end is nobody's
          this.#endStream(fault === null ? 'complete' : 'broken', fault)
        },
      })
    this.#options.client.head(this.#status ?? 200, this.#options.headers(this.#raw, encoding !== null))
  }

  #take(chunk: Buffer): boolean {
    return this.#decoder === null ? this.#read(chunk) : this.#decoder.write(chunk)
  }

  #read(chunk: Buffer): boolean {
    if (this.#meter === null || this.#over) return true
    const room = this.#pass(this.#meter.push(chunk))
    if (this.#ttftMs === null && this.#meter.hasContent()) this.#ttftMs = this.#since()
    return room
  }

  #pass(pieces: readonly Buffer[]): boolean {
    let room = true
    for (const piece of pieces) if (piece.length > 0) room = this.#options.client.write(piece)
    return room
  }

  #endWhole(): void {
    const body = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held, this.#heldSize)
    const reading = readWhole(this.#meter!, body, encodingOf(this.#raw)) // an answer has begun: there is a meter
    this.#settle({ kind: 'whole', ...this.#timing(), status: this.#status ?? 200, headers: this.#raw, body, reading })
  }

  #endStream(how: 'complete' | 'broken' | 'left' | 'stopped', fault: Fault | null): void {
    if (this.#over) return
    const { rest, reading } = this.#meter!.end(how === 'complete') // a stream has begun: there is a meter
    if (how === 'complete' || how === 'broken') this.#pass(rest)
    this.#settle({ kind: 'streamed', ...this.#timing(), status: this.#status ?? 200, reading, how, fault })
  }

  #fail(fault: Fault): void {
    this.#settle({ kind: 'failed', ...this.#timing(), status: this.#status, fault })
  }

  #settle(result: Try): void {
    if (this.#over) return
    this.#over = true
    this.#decoder?.stop()
    this.#options.client.listener = null
    this.#resolve(result)
  }

  #timing(): Timing {
    return { latencyMs: this.#since(), ttfbMs: this.#ttfbMs, ttftMs: this.#ttftMs }
  }

  #since(): number {
    return performance.now() - this.#began
  }
}

function readWhole(meter: Meter, body: Buffer, encoding: Encoding | null): Reading {
  meter.push(encoding === null ? body : inflated(body, encoding, heldBytes))
  return meter.end(true).reading
}
