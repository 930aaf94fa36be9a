import type { Refusal } from './protocols/protocol.ts'

/** Every refusal and fault that a client can be told, with its code and status, in one place. */
export const refusals = {
  unauthenticated: (authorization?: string): Refusal => ({
    code: 'unauthenticated',
    status: 401,
    // A signature cannot be checked by whoever does not have the secret that it was made with.
    message: authorization?.startsWith('AWS4-')
      ? 'AWS signatures are not accepted here: send a Sluice key as the bearer token (AWS_BEARER_TOKEN_BEDROCK).'
      : 'No valid Sluice key: send one that `sluice keys create --agent <name>` printed as the API key.',
  }),
  noSuchRoute: (method: string, path: string): Refusal => ({
    code: 'not_found',
    status: 404,
    message: `There is no route ${method} ${path.slice(0, 200)}.`,
  }),
  noSuchProvider: (name: string): Refusal => ({
    code: 'not_found',
    status: 404,
    message: `There is no provider or route /${name.slice(0, 100)}.`,
  }),
  invalid: (why: string): Refusal => ({ code: 'invalid_request', status: 400, message: why }),
  unknownModel: (model: string, door: string): Refusal => ({
    code: 'invalid_request',
    status: 400,
    message: `No configured provider serves the model ${JSON.stringify(model.slice(0, 200))} over ${door}.`,
    facts: { param: 'model' },
  }),
  modelNotAllowed: (agent: string, model: string): Refusal => ({
    code: 'model_not_allowed',
    status: 403,
    message: `The agent ${agent} may not use the model ${JSON.stringify(model.slice(0, 200))}.`,
  }),
  tooLarge: (maxBytes: number): Refusal => ({
    code: 'payload_too_large',
    status: 413,
    message: `The body is larger than ${maxBytes} bytes.`,
  }),
  tooSlow: (idleMs: number): Refusal => ({
    code: 'invalid_request',
    status: 408,
    message: `The body did not move for ${idleMs} ms.`,
  }),
  overloaded: (): Refusal => ({
    code: 'overloaded',
    status: 503,
    message: 'This gateway has as many calls in flight as it may have.',
    retryAfterMs: 1_000,
  }),
  draining: (): Refusal => ({
    code: 'overloaded',
    status: 503,
    message: 'This gateway is shutting down.',
    retryAfterMs: 1_000,
  }),
  logUnavailable: (): Refusal => ({
    code: 'log_unavailable',
    status: 503,
    message: 'The call cannot be recorded now, so it is not made.',
    retryAfterMs: 2_000,
  }),
  /** `askedMs`: for how long the upstream that was tried last wants to be left alone. */
  upstream: (code: string, attempts: readonly unknown[], askedMs: number | null = null): Refusal => ({
    code: code === 'upstream_timeout' ? 'upstream_timeout' : 'upstream_unavailable',
    status: code === 'upstream_timeout' ? 504 : 502,
    message:
      code === 'upstream_timeout' ? 'The provider did not answer in time.' : 'No provider could answer this call.',
    // A day is as good as never to whoever waits.
    retryAfterMs: Math.min(Math.max(1_000, askedMs ?? 0), 86_400_000),
    facts: { attempts },
  }),
  /** A stream that broke off after it had begun. */
  brokenStream: (code: string): Refusal => ({
    code: code === 'upstream_timeout' ? 'upstream_timeout' : 'upstream_unavailable',
    status: code === 'upstream_timeout' ? 504 : 502,
    message: "The provider's answer broke off.",
  }),
} as const
