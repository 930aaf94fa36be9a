import type { Refusal } from './protocol.ts'

/** A refusal's body in a protocol's shape, with the headers that tell vendor SDKs whether to try again. */
export function refusalAnswer(refusal: Refusal, shaped: unknown) {
  return { body: Buffer.from(JSON.stringify(shaped)), headers: refusalHeaders(refusal) }
}

/**
 * Final is what the same request would meet again: a refusal of ours below 500 that names no time. SDKs retry 408, 409, 429
 * and 5xx by themselves and obey `retry-after-ms` before `retry-after`, which counts in whole seconds.
 */
function refusalHeaders(refusal: Refusal): Readonly<Record<string, string>> {
  const { retryAfterMs } = refusal
  const json = { 'content-type': 'application/json' }
  if (retryAfterMs !== undefined)
    return {
      ...json,
      'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))),
      'retry-after-ms': String(Math.max(0, Math.round(retryAfterMs))),
    }
  return refusal.status < 500 ? { ...json, 'x-should-retry': 'false' } : json
}

/**
 * One server-sent event. A blank line before it ends whatever the upstream left unfinished, so that it is not read as part
 * of that.
 */
export function eventOf(shaped: unknown, name?: string): Buffer {
  return Buffer.from(`\n\n${name === undefined ? '' : `event: ${name}\n`}data: ${JSON.stringify(shaped)}\n\n`)
}
