import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import { parseScope, type Scope } from '../../core/access/scope.ts'
import { isRunId, told } from '../../core/conversation/lineage.ts'
import { readJson } from '../read.ts'

/** What `POST /oauth/token` is asked for (RFC 8693, 2.1). `agent`, `run_id` and `expires_in` are ours. */
export type TokenRequest = {
  /** An agent's key, or a token of ours. */
  readonly subjectToken: string
  /** The key of the agent that is to act. */
  readonly actorToken: string | null
  /** Its name, by `agent` or by an `audience` that is no URL, where it shows no key. */
  readonly agent: string | null
  /** The run that the token is derived from, by `run_id` or `x-sluice-run-id`. */
  readonly runId: string | null
  readonly scope: Scope | null
  /** Seconds. */
  readonly expiresIn: number | null
  readonly tokenType: TokenType
}

/** Why a request is none, in the words of RFC 6749, 5.2 and RFC 8693, 2.2.2. */
export type RequestProblem = { readonly error: OauthError; readonly message: string }
export type OauthError =
  | 'invalid_request'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'temporarily_unavailable'

export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
/** Keys and tokens alike open the gateway, so both are access tokens; ours are JWTs too. */
export const tokenTypes = [
  'urn:ietf:params:oauth:token-type:access_token',
  'urn:ietf:params:oauth:token-type:jwt',
] as const
export type TokenType = (typeof tokenTypes)[number]
const [accessToken] = tokenTypes

const token = z.string().min(1).max(8_192)
const parameters = z.object({
  grant_type: z.string(),
  subject_token: token,
  subject_token_type: z.enum(tokenTypes),
  actor_token: token.optional(),
  actor_token_type: z.enum(tokenTypes).optional(),
  requested_token_type: z.enum(tokenTypes).default(accessToken),
  audience: z.string().optional(),
  resource: z.string().optional(),
  agent: z.string().optional(),
  scope: z.string().optional(),
  run_id: z.string().refine(isRunId, 'expected a run’s id').optional(),
  expires_in: z
    .string()
    .regex(/^[1-9]\d{0,8}$/, 'expected a number of seconds')
    .transform(Number)
    .optional(),
})

/** The name under which this gateway was asked is the only resource that a token of ours opens. */
export function readTokenRequest(body: Buffer, headers: IncomingHttpHeaders): TokenRequest | RequestProblem {
  const ownHost = headers.host
  const fields = /^application\/json\b/i.test(headers['content-type'] ?? '') ? fromJson(body) : fromForm(body)
  if ('error' in fields) return fields
  if (fields.given['grant_type'] !== undefined && fields.given['grant_type'] !== exchangeGrant)
    return problem('unsupported_grant_type', `The only grant here is ${exchangeGrant}.`)
  const parsed = parameters.safeParse(fields.given)
  if (!parsed.success) return problem('invalid_request', z.prettifyError(parsed.error))
  const asked = parsed.data
  if ((asked.actor_token === undefined) !== (asked.actor_token_type === undefined))
    return problem('invalid_request', 'actor_token and actor_token_type come together, or neither.')
  const audience = asked.audience === undefined || isUrl(asked.audience) ? null : asked.audience
  const places = [asked.resource, audience === null ? asked.audience : undefined]
  if (places.some(place => place !== undefined && hostOf(place) !== ownHost))
    return problem('invalid_target', 'A token of this gateway opens this gateway and nothing else.')
  if (asked.agent !== undefined && audience !== null && asked.agent !== audience)
    return problem('invalid_request', 'agent and audience name two agents; a token is for one.')
  const scope = asked.scope === undefined ? undefined : parseScope(asked.scope)
  if (scope === null)
    return problem('invalid_scope', 'scope: expected entries model:<glob> and tool:<server>.<glob>, parted by spaces.')
  const { claim } = told(headers)
  return {
    subjectToken: asked.subject_token,
    actorToken: asked.actor_token ?? null,
    agent: asked.agent ?? audience,
    // An orchestrator that names its run in each request names it here, too.
    runId: asked.run_id ?? (claim?.source === 'header' ? claim.runId : null),
    scope: scope ?? null,
    expiresIn: asked.expires_in ?? null,
    tokenType: asked.requested_token_type,
  }
}

type Fields = { readonly given: Readonly<Record<string, unknown>> }

/** RFC 6749, 3.2: a parameter without a value counts as left out, and none may stand twice. */
function fromForm(body: Buffer): Fields | RequestProblem {
  const given: Record<string, string> = Object.create(null)
  for (const [name, value] of new URLSearchParams(body.toString('utf8'))) {
    if (value === '') continue
    if (given[name] !== undefined) return problem('invalid_request', `${shown(name)} stands in the request twice.`)
    given[name] = value
  }
  return { given }
}

/** No RFC asks for it, but many clients send it. */
function fromJson(body: Buffer): Fields | RequestProblem {
  const json = readJson(body)
  if ('unreadable' in json) return problem('invalid_request', json.unreadable)
  const read = z.record(z.string(), z.union([z.string(), z.number().transform(String)])).safeParse(json.value)
  return read.success
    ? { given: read.data }
    : problem('invalid_request', 'The body is not a JSON object of texts and numbers.')
}

const problem = (error: OauthError, message: string): RequestProblem => ({ error, message })
const isUrl = (text: string): boolean => /^https?:\/\//.test(text)
const hostOf = (url: string): string | null => (URL.canParse(url) ? new URL(url).host : null)
/** A name is a stranger's text. */
const shown = (name: string): string => JSON.stringify(name.slice(0, 50))
