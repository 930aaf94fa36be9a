import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Readable, Transform, Writable } from 'node:stream'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import type { Ask, Encoding } from './ask.ts'
import { BlockEncoder, frame } from './blocks.ts'
import { httpStatus, type QueryException } from './exception.ts'

/** What a statement did, in the units of X-ClickHouse-Summary. */
export type Stats = {
  /** Of the answer. What was read to make it the engine does not tell; the summary repeats these. */
  readonly resultRows: number
  readonly resultBytes: number
  readonly writtenRows: number
  readonly writtenBytes: number
  readonly elapsedSeconds: number
}

/**
 * Held back before the first byte goes out, so that a small answer carries its summary and its length, and an error
 * in it its own status. The engine writes a megabyte at a time or what is left at the end; `holdMs` after its first
 * byte a result flows whatever its size, for the formats that tell their progress.
 */
const holdBytes = 1_048_576
const holdMs = 200
/** With wait_end_of_query, what is held in memory at most; beyond it the rest flows after all. */
const holdWholeBytes = 67_108_864
/** A client that reads nothing for so long is gone: it keeps an engine thread in a write. */
const stallMs = 60_000
/** A client that understands the exception block leaves by itself at once. */
const lingerMs = 500

/** The answer to one request: headers as ClickHouse sends them, then one of `whole`, `rows`, `fail`. */
export class Answer {
  readonly #response: ServerResponse
  readonly #version: string
  #blocks = false

  constructor(response: ServerResponse, version: string, timezone: string) {
    this.#response = response
    this.#version = version
    response.setHeader('X-ClickHouse-Server-Display-Name', 'sluice')
    response.setHeader('X-ClickHouse-Timezone', timezone)
  }

  about(ask: Ask): void {
    this.#blocks = ask.encoding?.name === 'blocks'
    // A header value of the client's: only what can stand in one.
    this.#response.setHeader('X-ClickHouse-Query-Id', ask.queryId.replace(/[^\x20-\x7e]/g, '?').slice(0, 256))
  }

  async whole(ask: Ask, format: string, bytes: Uint8Array, stats: Stats): Promise<void> {
    const response = this.#response
    this.#describe(format)
    response.setHeader('X-ClickHouse-Summary', summary(stats))
    const body = ask.encoding === undefined || bytes.length === 0 ? bytes : await compress(bytes, ask.encoding)
    if (body !== bytes) this.#tellEncoding(ask.encoding)
    response.setHeader('Content-Length', body.length)
    response.end(body)
  }

  /** `done` settles when the statement is over; `body` ends soon after. Throws what the statement threw, unless told. */
  async rows(ask: Ask, format: string, body: Readable, done: Promise<Stats>): Promise<void> {
    const held = await hold(body, done, ask.waitEnd)
    if (held.whole) return this.whole(ask, format, held.bytes, await done)
    await this.#flow(ask, format, held.bytes, body, done)
  }

  /** Before any byte went out: status, code and text of a server. Afterwards only the connection can tell. */
  fail(error: QueryException): void {
    const response = this.#response
    if (response.headersSent) {
      response.destroy()
      return
    }
    const status = httpStatus(error.code)
    const plain = Buffer.from(error.text(this.#version))
    // Who asked for blocks reads errors in blocks too, but for those of a door that is closed.
    const text = this.#blocks && status !== 401 && status !== 403 ? frame(plain) : plain
    for (const name of ['X-ClickHouse-Format', 'X-ClickHouse-Summary', 'Content-Encoding']) response.removeHeader(name)
    if (error.code === 194) response.setHeader('WWW-Authenticate', 'Basic realm="Sluice warehouse"')
    response.writeHead(status, {
      'Content-Type': 'text/plain; charset=UTF-8',
      'Content-Length': text.length,
      'X-ClickHouse-Exception-Code': error.code,
    })
    response.end(text)
  }

  plain(status: number, text: string): void {
    this.#response.writeHead(status, {
      'Content-Type': 'text/html; charset=UTF-8',
      'Content-Length': Buffer.byteLength(text),
    })
    this.#response.end(text)
  }

  #tellEncoding(encoding: Encoding | undefined): void {
    if (encoding !== undefined && encoding.name !== 'blocks')
      this.#response.setHeader('Content-Encoding', encoding.name)
  }

  #describe(format: string): void {
    if (format === '') return
    this.#response.setHeader('Content-Type', contentType(format))
    this.#response.setHeader('X-ClickHouse-Format', format)
  }

  async #flow(ask: Ask, format: string, first: Uint8Array, body: Readable, done: Promise<Stats>): Promise<void> {
    const response = this.#response
    const tag = randomBytes(8).toString('hex')
    this.#describe(format)
    response.setHeader('X-ClickHouse-Exception-Tag', tag)
    this.#tellEncoding(ask.encoding)
    const encoder = ask.encoding === undefined ? undefined : createEncoder(ask.encoding)
    encoder?.pipe(response)
    const out: Writable = encoder ?? response
    await write(out, first)
    for await (const chunk of body as AsyncIterable<Buffer>) await write(out, chunk)
    try {
      await done
      out.end()
    } catch (error) {
      const text = (error as QueryException).text(this.#version)
      const block = `\r\n__exception__\r\n${tag}\r\n${text}${Buffer.byteLength(text)} ${tag}\r\n__exception__\r\n`
      await write(out, Buffer.from(block))
      if (encoder !== undefined) await promisify<void>(callback => encoder.flush(() => callback(null)))()
      // Left without its last chunk: whoever does not look for the block still sees that the answer is not whole.
      // A moment later, because a broken connection can overtake what its reader has not looked at yet.
      const timer = setTimeout(() => response.socket?.destroySoon(), lingerMs)
      response.once('close', () => clearTimeout(timer))
    }
  }
}

async function hold(
  body: Readable,
  done: Promise<Stats>,
  waitEnd: boolean,
): Promise<{ readonly whole: boolean; readonly bytes: Uint8Array }> {
  const limit = waitEnd ? holdWholeBytes : holdBytes
  const chunks: Buffer[] = []
  let size = 0
  const { promise: enough, resolve } = Promise.withResolvers<false>()
  let timer: NodeJS.Timeout | undefined
  const take = (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (size >= limit) resolve(false)
    if (!waitEnd) timer ??= setTimeout(resolve, holdMs, false)
  }
  const ended = once(body, 'close')
  body.on('data', take).resume()
  try {
    const whole = await Promise.race([enough, Promise.all([done, ended]).then(() => true)])
    return { whole, bytes: Buffer.concat(chunks, size) }
  } finally {
    clearTimeout(timer)
    body.off('data', take)
    body.pause()
    ended.catch(() => {})
  }
}

async function write(out: Writable, chunk: Uint8Array): Promise<void> {
  if (out.destroyed) throw new Error('the client has left')
  if (!out.write(chunk)) await drained(out)
}

function drained(out: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer)
      out.off('drain', onDrain).off('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onDrain = () => settle()
    const onClose = () => settle(new Error('the client has left'))
    const timer = setTimeout(() => settle(new Error(`the client has read nothing for ${stallMs} ms`)), stallMs)
    out.once('drain', onDrain).once('close', onClose)
  })
}

const createEncoder = ({ name, level }: Encoding): Transform & { flush(callback: () => void): void } => {
  if (name === 'blocks') return new BlockEncoder()
  if (name === 'gzip') return zlib.createGzip({ level })
  if (name === 'deflate') return zlib.createDeflate({ level })
  if (name === 'br') return zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: level } })
  return zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_compressionLevel]: level } })
}

async function compress(bytes: Uint8Array, encoding: Encoding): Promise<Buffer> {
  const encoder = createEncoder(encoding)
  encoder.end(bytes)
  return Buffer.concat(await Array.fromAsync(encoder as AsyncIterable<Buffer>))
}

function summary(stats: Stats): string {
  return JSON.stringify({
    read_rows: String(stats.resultRows),
    read_bytes: String(stats.resultBytes),
    written_rows: String(stats.writtenRows),
    written_bytes: String(stats.writtenBytes),
    total_rows_to_read: '0',
    result_rows: String(stats.resultRows),
    result_bytes: String(stats.resultBytes),
    elapsed_ns: String(Math.round(stats.elapsedSeconds * 1e9)),
  })
}

function contentType(format: string): string {
  if (/^(JSONEachRow|JSONLines|NDJSON|JSON\w*EachRow\w*)$/i.test(format)) return 'application/x-ndjson; charset=UTF-8'
  if (/JSON/i.test(format) && !/BSON/i.test(format)) return 'application/json; charset=UTF-8'
  if (/^CSV/i.test(format)) return `text/csv; charset=UTF-8; header=${/Names/i.test(format) ? 'present' : 'absent'}`
  if (/^(TSV|TabSeparated)/i.test(format)) return 'text/tab-separated-values; charset=UTF-8'
  if (/^(Pretty|Vertical|Values|Custom|Markdown|SQLInsert|LineAsString|XML)/i.test(format))
    return 'text/plain; charset=UTF-8'
  return 'application/octet-stream'
}
