import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Standing } from '../core/runs/stops.ts'
import type { Client, ClientListener } from './upstream/exchange.ts'

/** The client at the other end of one request: what it sends, what it can be told, and whether it is still there. */
export type Caller = Client & {
  readonly req: IncomingMessage
  /** Whether an answer has begun. */
  readonly begun: boolean
  /** A whole answer. Takes the list of headers over. */
  answer(status: number, headers: string[], body: Buffer): void
  /** Ends a stream that `head` began, after `last` where that is given. */
  end(last?: Buffer): void
  /** Its run or something above it was killed: what is under way for it is ended. */
  stop(by: Standing): void
  /** Calls back once, when the last of the answer has gone out or the client has left. */
  whenClosed(act: () => void): void
}

/** One object per request; whoever is trying to answer it listens. */
export class HttpCaller implements Caller {
  readonly req: IncomingMessage
  readonly #res: ServerResponse
  listener: ClientListener | null = null
  gone = false
  stopped: Standing | null = null
  #closed = false
  #whenClosed: (() => void) | null = null
  #stalled: NodeJS.Timeout | null = null

  constructor(req: IncomingMessage, res: ServerResponse) {
    this.req = req
    this.#res = res
    res.on('close', () => {
      this.#reading()
      this.#closed = true
      this.#whenClosed?.()
      if (res.writableFinished) return
      this.gone = true
      this.listener?.left()
    })
    res.on('error', () => {}) // a broken connection is told by `close`
  }

  get begun(): boolean {
    return this.#res.headersSent
  }

  answer(status: number, headers: string[], body: Buffer): void {
    if (this.gone || this.#res.headersSent) return
    headers.push('content-length', String(body.length))
    this.#res.writeHead(status, headers)
    this.#res.end(body)
  }

  head(status: number, headers: readonly string[]): void {
    if (this.gone || this.#res.headersSent) return
    this.#res.on('drain', () => {
      this.#reading()
      this.listener?.drained()
    })
    this.#res.writeHead(status, headers as string[]) // Node reads them, it does not write to them
    this.#res.flushHeaders()
  }

  write(chunk: Buffer): boolean {
    if (this.gone) return true
    const room = this.#res.write(chunk)
    // A client that does not read holds its call, and the provider's: that is waited for, but not for ever.
    if (!room) this.#stalled ??= setTimeout(() => this.#res.destroy(), stallMs)
    return room
  }

  #reading(): void {
    if (this.#stalled !== null) clearTimeout(this.#stalled)
    this.#stalled = null
  }

  whenClosed(act: () => void): void {
    if (this.#closed) act()
    else this.#whenClosed = act
  }

  stop(by: Standing): void {
    if (this.stopped !== null) return
    this.stopped = by
    this.listener?.stopped()
  }

  end(last?: Buffer): void {
    if (this.gone) return
    if (last === undefined) this.#res.end()
    else this.#res.end(last)
  }
}

/** As long as a slow network may need for what stands in its buffers; a browser tab that sleeps needs no longer. */
const stallMs = 60_000

export type BodyLimits = {
  /** Bytes. */
  readonly maxBytes: number
  /** The longest pause between two chunks. */
  readonly idleMs: number
}

/** Reads request bodies. One clock for all of them: a timer for each would cost more than reading does. */
export type BodyReader = {
  read(req: IncomingMessage): Promise<Buffer | 'too_large' | 'too_slow' | 'cut'>
  close(): void
}

export function openBodyReader(limits: BodyLimits): BodyReader {
  const moving = new Set<{ movedAt: number; stop: () => void }>()
  const clock = setInterval(() => {
    const stuck = Date.now() - limits.idleMs
    for (const body of moving) if (body.movedAt < stuck) body.stop()
  }, 500)
  clock.unref()

  return {
    read(req) {
      const announced = Number(req.headers['content-length'] ?? 0)
      if (announced > limits.maxBytes) return Promise.resolve('too_large')
      return new Promise(resolve => {
        const chunks: Buffer[] = []
        let size = 0
        const settle = (result: Buffer | 'too_large' | 'too_slow' | 'cut') => {
          moving.delete(body)
          resolve(result)
        }
        const body = { movedAt: Date.now(), stop: () => settle('too_slow') }
        moving.add(body)
        req.on('data', (chunk: Buffer) => {
          body.movedAt = Date.now()
          size += chunk.length
          if (size > limits.maxBytes) {
            req.pause()
            return settle('too_large')
          }
          chunks.push(chunk)
        })
        req.on('end', () => settle(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)))
        req.on('error', () => settle('cut'))
        req.on('close', () => settle('cut'))
      })
    },
    close: () => clearInterval(clock),
  }
}
