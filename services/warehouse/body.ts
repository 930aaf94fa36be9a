import type { IncomingMessage } from 'node:http'
import type { Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { QueryException, refusal } from './exception.ts'

/**
 * Bodies are taken whole before the engine sees them: a body that breaks off must not leave its first half in a
 * table, and the engine has no way to be told "that was not the end".
 */
export type BodyLimits = {
  /** One body, decompressed. */
  readonly bodyBytes: number
  /** All bodies held at once. */
  readonly heldBytes: number
  /** Between two pieces. */
  readonly stallMs: number
}

/** A sink's batch is some megabytes; bulk loads split well below this. A client that says nothing for a minute is gone. */
export const bodyLimits: BodyLimits = { bodyBytes: 268_435_456, heldBytes: 536_870_912, stallMs: 60_000 }

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

export class Bodies {
  readonly #limits: BodyLimits
  #held = 0

  constructor(limits: BodyLimits = bodyLimits) {
    this.#limits = limits
  }

  /** The body, decompressed. The caller gives the bytes back with `release`. Throws QueryException; the rest is unread. */
  async read(request: IncomingMessage): Promise<{ readonly bytes: Buffer; readonly release: () => void }> {
    const announced = Number(request.headers['content-length'] ?? 0)
    if (announced > this.#limits.bodyBytes) throw this.#tooLarge()
    let size = 0
    const chunks: Buffer[] = []
    try {
      for await (const chunk of this.#decoded(request)) {
        size += chunk.length
        this.#held += chunk.length
        if (size > this.#limits.bodyBytes) throw this.#tooLarge()
        if (this.#held > this.#limits.heldBytes) {
          throw refusal(
            'TOO_MANY_SIMULTANEOUS_QUERIES',
            'Too many simultaneous queries. Too many bytes of bodies are being received',
          )
        }
        chunks.push(chunk)
      }
    } catch (error) {
      this.#held -= size
      throw asException(error)
    }
    const [first] = chunks
    const bytes = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size)
    let given = false
    const release = () => {
      if (!given) this.#held -= size
      given = true
    }
    return { bytes, release }
  }

  async *#decoded(request: IncomingMessage): AsyncGenerator<Buffer> {
    const encoding = String(request.headers['content-encoding'] ?? 'identity')
      .trim()
      .toLowerCase()
    if (encoding === '' || encoding === 'identity') {
      yield* this.#watched(request)
      return
    }
    const decoder = decoders[encoding]?.()
    if (decoder === undefined) throw refusal('NOT_IMPLEMENTED', `Unknown compression method: ${encoding}`)
    const feed = (async () => {
      for await (const chunk of this.#watched(request)) {
        if (!decoder.write(chunk)) await new Promise(resolve => decoder.once('drain', resolve).once('close', resolve))
        if (decoder.destroyed) return
      }
      decoder.end()
    })().catch(error => decoder.destroy(error))
    yield* decoder as AsyncIterable<Buffer>
    await feed
  }

  /** The request's own pieces, each within the stall limit of the one before. */
  async *#watched(request: IncomingMessage): AsyncGenerator<Buffer> {
    const stalled = () =>
      request.destroy(refusal('SOCKET_TIMEOUT', `Timeout: the body did not move for ${this.#limits.stallMs} ms`))
    const timer = setTimeout(stalled, this.#limits.stallMs)
    try {
      // Not destroyed when left early: an answer may still have to go out on the same socket.
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        timer.refresh()
        yield chunk
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #tooLarge(): QueryException {
    return refusal('QUERY_IS_TOO_LARGE', `The body is larger than ${this.#limits.bodyBytes} bytes`)
  }
}

function asException(error: unknown): unknown {
  if (error instanceof QueryException || !(error instanceof Error)) return error
  const isZlib =
    'code' in error && /^(Z_|ERR_|ZSTD)/.test(String(error.code)) && !/STREAM_PREMATURE|ECONN/.test(String(error.code))
  return isZlib ? refusal('CANNOT_PARSE_TEXT', `Cannot decompress the body: ${error.message}`) : error
}
