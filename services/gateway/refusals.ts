import type { Breach } from '../core/runs/limits.ts'
import type { Standing } from '../core/runs/stops.ts'
import type { Refusal } from './protocols/protocol.ts'
import { stoppedRefusal } from './stops/refusal.ts'

/** Every refusal and fault that a client can be told, with its code and status, in one place. */
export const refusals = {
  unauthenticated: (authorization?: string): Refusal => ({
    code: 'unauthenticated',
    status: 401,
    // A signature cannot be checked by whoever does not have the secret that it was made with.
    message: authorization?.startsWith('AWS4-')
      ? 'AWS signatures are not accepted here: send a Sluice key as the bearer token (AWS_BEARER_TOKEN_BEDROCK).'
      : 'No valid Sluice key or token: send a key that `sluice keys create --agent <name>` printed as the API key, or a token that has not expired.',
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
  /** `standing`: how the node stood when its owner last said so; money in nano-dollars, `resetsAt` in Unix ms. */
  budgetExceeded: (standing: {
    readonly scope: string
    readonly limitNanoUsd: number
    readonly spentNanoUsd: number
    readonly askedNanoUsd: number
    readonly resetsAt: number | null
  }): Refusal => ({
    code: 'budget_exceeded',
    status: 402,
    message: `The budget of ${standing.scope} has no room for this call: it asks for up to ${inUsd(standing.askedNanoUsd)}, and ${inUsd(standing.spentNanoUsd)} of ${inUsd(standing.limitNanoUsd)} are spent.`,
    facts: {
      scope: standing.scope,
      limit_nano_usd: standing.limitNanoUsd,
      spent_nano_usd: standing.spentNanoUsd,
      asked_nano_usd: standing.askedNanoUsd,
      resets_at: standing.resetsAt === null ? null : new Date(standing.resetsAt).toISOString(),
    },
  }),
  budgetContended: (retryAfterMs: number): Refusal => ({
    code: 'budget_contended',
    status: 429,
    message: 'Calls in flight hold what is left of the budget; some of it will be free again when they have ended.',
    retryAfterMs,
  }),
  unpriced: (model: string): Refusal => ({
    code: 'model_not_allowed',
    status: 403,
    message: `Nobody knows a price for the model ${JSON.stringify(model.slice(0, 200))}, and the policy refuses such calls under a budget.`,
  }),
  /** `runId`: the run that called; what is stopped may stand above it. */
  stopped: (standing: Standing, runId: string, now: number): Refusal => stoppedRefusal(standing, runId, now),
  /** A limit of the run, or of one above it. */
  limit: (breach: Breach, runId: string): Refusal => ({
    code: breach.code,
    status: 403,
    message: `${breachSaid[breach.code](breach.limit)}${breach.runId === runId ? '' : `, by the terms of the run ${breach.runId} above it`}.`,
    facts: { scope: `run:${breach.runId}`, limit: breach.limit },
  }),
  notYours: (runId: string): Refusal => ({
    code: 'not_found',
    status: 404,
    message: `There is no run ${JSON.stringify(runId.slice(0, 200))} of yours.`,
  }),
  notAllowed: (message: string): Refusal => ({ code: 'not_allowed', status: 403, message }),
  delegationNotAllowed: (agent: string, to: string): Refusal => ({
    code: 'delegation_not_allowed',
    status: 403,
    message: `The agent ${agent} may not delegate to ${JSON.stringify(to.slice(0, 200))}.`,
  }),
  noLeave: (agent: string, runId: string): Refusal => ({
    code: 'delegation_not_allowed',
    status: 403,
    message: `The agent ${agent} may not work in the run ${JSON.stringify(runId)} or below it: it is another agent's, which does not delegate to it.`,
  }),
  chainEnds: (agents: readonly string[], longest: number): Refusal => ({
    code: 'delegation_not_allowed',
    status: 403,
    message: `The chain of ${agents.join(', ')} ends here: it holds an agent once, and at most ${longest} of them.`,
  }),
  strayed: (own: string, named: string): Refusal => ({
    code: 'delegation_not_allowed',
    status: 403,
    message: `The token stands for the run ${JSON.stringify(own)}; ${JSON.stringify(named)} is neither that nor below it.`,
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

/** Nano-dollars as people read them. */
const inUsd = (nano: number): string => `$${(nano / 1e9).toFixed(9).replace(/0{1,7}$/, '')}`

const breachSaid: Readonly<Record<Breach['code'], (limit: number) => string>> = {
  max_steps_exceeded: limit => `The run has made the ${limit} model calls that it may make`,
  max_depth_exceeded: limit => `A run may stand at most ${limit} below the root of its tree`,
  max_children_exceeded: limit => `The run above this one has spawned the ${limit} runs that it may spawn`,
  run_expired: limit => `The run has lasted the ${limit} ms that it may last`,
}
