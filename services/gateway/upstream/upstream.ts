import type { Fault } from '../../io/fault.ts'

/**
 * One request to one target, driven by callbacks: promises and web streams around the upstream cost a fifth of a whole
 * request. Two things answer it: undici (`dispatch.ts`) and the built-in simulator.
 */
export type Upstream = {
  /**
   * Begins at once; no callback comes before it has returned. Exactly one of `end` and `fail` is called, last, and
   * nothing after `abort`. Never throws.
   */
  send(request: UpstreamRequest, answer: Answer): Exchange
}

export type UpstreamRequest = {
  readonly method: string
  /** `https://api.openai.com` */
  readonly origin: string
  /** Path and query. */
  readonly path: string
  /** Name, value, name, value: in the order in which they go out. */
  readonly headers: readonly string[]
  readonly body: Buffer | null
  /** Bounds the wait for the first byte and for every following one. */
  readonly timeoutMs: number
}

export type Answer = {
  /** Raw headers as they came: name, value, name, value. */
  readonly head: (status: number, headers: readonly string[]) => void
  /** False asks for a pause until `resume`; chunks already under way may still come. */
  readonly data: (chunk: Buffer) => boolean
  readonly end: () => void
  /** Codes: `upstream_unreachable`, `upstream_timeout`, `upstream_reset`, `upstream_protocol`. */
  readonly fail: (fault: Fault) => void
}

export type Exchange = {
  readonly resume: () => void
  /** Closes the upstream request. No callback comes afterwards. */
  readonly abort: () => void
}
