import { type Dispatcher, errors, Pool } from 'undici'
import { Fault, textOf } from '../../io/fault.ts'
import type { Answer, Exchange, Upstream, UpstreamRequest } from './upstream.ts'

/** Upstreams on the network: a pool of HTTP/1.1 connections per origin, each request driven by callbacks. */
export function openDispatch(
  options: { readonly connectTimeoutMs?: number } = {},
): Upstream & { close(): Promise<void> } {
  const pools = new Map<string, Pool>()
  const connectTimeoutMs = options.connectTimeoutMs ?? 10_000

  /** Who waits for less than a connection may take has a pool of their own; there are as many as routes have timeouts. */
  const poolOf = (origin: string, timeoutMs: number): Pool => {
    const connectMs = Math.min(connectTimeoutMs, timeoutMs)
    const name = `${origin} ${connectMs}`
    let pool = pools.get(name)
    if (pool === undefined) {
      // No `connections` limit: a stream holds its connection for minutes, and a queue here would be a hidden wait. What
      // bounds the connections is the number of calls that the gateway admits.
      pool = new Pool(origin, {
        connect: { timeout: connectMs },
        // Below the 5 s after which many servers close an idle connection, so that we rarely write into a closing one.
        keepAliveTimeout: 4_000,
        maxHeaderSize: 64 * 1024,
      })
      pools.set(name, pool)
    }
    return pool
  }

  return {
    send(request, answer) {
      const flight = new Flight(answer)
      try {
        poolOf(request.origin, request.timeoutMs).dispatch(optionsOf(request), flight)
      } catch (error) {
        // What undici will not even begin with (a header it holds to be malformed).
        queueMicrotask(() => flight.onResponseError(null, error as Error))
      }
      return flight
    },
    async close() {
      await Promise.all([...pools.values()].map(pool => pool.destroy()))
    },
  }
}

const optionsOf = (request: UpstreamRequest): Dispatcher.DispatchOptions => ({
  path: request.path,
  method: request.method,
  headers: request.headers as string[], // undici reads them, it does not write to them
  body: request.body,
  headersTimeout: request.timeoutMs,
  bodyTimeout: request.timeoutMs,
})

/** One request under way. A class because undici wants the callbacks as methods of one object. */
class Flight implements Dispatcher.DispatchHandler, Exchange {
  readonly #answer: Answer
  #controller: Dispatcher.DispatchController | null = null
  #over = false

  constructor(answer: Answer) {
    this.#answer = answer
  }

  resume(): void {
    if (this.#controller?.paused) this.#controller.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(left)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#over) controller.abort(left)
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over || status < 200) return
    this.#answer.head(status, textHeaders(controller.rawHeaders))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    if (!this.#answer.data(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#answer.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (this.#over) return
    this.#over = true
    this.#answer.fail(faultOf(error))
  }
}

const left = new Error('the call was given up')

function textHeaders(raw: Dispatcher.DispatchController['rawHeaders']): readonly string[] {
  if (!Array.isArray(raw)) return []
  // latin1 is what HTTP/1.1 header bytes are; it takes any byte there and back unchanged.
  return raw.map(part => (typeof part === 'string' ? part : part.toString('latin1')))
}

function faultOf(error: Error): Fault {
  const fault = (code: string, message: string) => new Fault(code, message, { retriable: true, cause: error })
  if (error instanceof errors.HeadersTimeoutError)
    return fault('upstream_timeout', 'the upstream did not begin to answer in time')
  if (error instanceof errors.BodyTimeoutError)
    return fault('upstream_timeout', 'the upstream stopped in the middle of its answer')
  if (error instanceof errors.ConnectTimeoutError)
    return fault('upstream_timeout', 'no connection to the upstream in time')
  if (error instanceof errors.ResponseContentLengthMismatchError)
    return fault('upstream_protocol', 'the upstream lied about the length of its answer')
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError)
    return fault('upstream_protocol', 'the upstream does not speak HTTP')
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EHOSTUNREACH' || code === 'EAI_AGAIN')
    return fault('upstream_unreachable', 'no connection to the upstream')
  return fault('upstream_reset', `the connection to the upstream broke: ${textOf(error)}`)
}
