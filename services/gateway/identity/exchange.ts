import type { TokenClaims } from '../../../schemas/token.ts'
import { brokenLink, type Delegation, type Link, longestChain } from '../../core/access/delegation.ts'
import { narrows, wholeScope } from '../../core/access/scope.ts'
import { Fault } from '../../io/fault.ts'
import type { TokenSigner } from '../../io/keys/token-signer.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import { type Asker, theirs } from '../runs/asker.ts'
import { openRun } from '../runs/open.ts'
import type { Run } from '../runs/run.ts'
import { claimsOf, issuedFact } from './claims.ts'
import type { Identity } from './identity.ts'
import type { OauthError, TokenRequest, TokenType } from './request.ts'

/** What is answered: the token (RFC 8693, 2.2.1), or why there is none. `run_id` is ours. */
export type Issued = {
  readonly access_token: string
  readonly issued_token_type: TokenType
  readonly token_type: 'Bearer'
  /** Seconds. */
  readonly expires_in: number
  readonly scope: string
  readonly run_id?: string
}
export type Denied = { readonly error: OauthError; readonly refusal: Refusal }

/**
 * Seconds. The default is the length of one piece of work; whoever delegates more asks again. A token cannot be taken
 * back by itself, so none outlives the hour: what ends it sooner is the end of its key, of its signer or of its run.
 */
const lifetime = { usual: 900, longest: 3_600 }

/**
 * A narrower token, for the subject itself or for an agent that it may delegate to.
 *
 * A token for another agent stands for a run of that agent's own, below the run that it was derived from: a run has one
 * agent, whose steps, loops and stops are its own, while its money counts up the tree. Where the run that is named is
 * already the agent's, the token stands for that one: so a token is renewed, and a run that was opened with terms is
 * handed over.
 */
export async function exchangeToken(
  pipeline: Pipeline,
  signer: TokenSigner,
  request: TokenRequest,
): Promise<Issued | Denied> {
  const subject = pipeline.identities.find(request.subjectToken)
  if (subject === null) return unacceptable('subject_token')
  const actor = actorOf(pipeline, request, subject)
  if ('error' in actor) return actor
  const links = linked(pipeline, subject, actor)
  if ('error' in links) return links
  const held = subject.token?.scope ?? wholeScope
  const scope = request.scope ?? held
  if (!narrows(scope, held))
    return denied(refusals.invalid(`A token may only narrow ${held.join(' ')}.`), 'invalid_scope')

  const sign = await ready(signer)
  if (sign === null) return denied(refusals.logUnavailable())
  const now = Math.floor(Date.now() / 1000)
  const exp = expiryOf(subject, now, request.expiresIn)
  if (exp <= now) return unacceptable('subject_token')
  const unplaced: Delegation = { links, scope, run: null, expiresAt: exp * 1000 }
  const who: Identity = { agent: actor.agent, keyId: subject.keyId, token: unplaced }
  const run = await runFor(pipeline, subject, who, request.runId)
  if (run !== null && 'code' in run) return denied(run)

  const claims = claimsOf({ who, token: unplaced, run, clientId: subject.agent, iat: now, exp })
  const written = await pipeline.recorder.try(
    issuedFact(pipeline.policies(), claims, who, run),
    claims.txn ?? `agent:${who.agent}`,
  )
  if (written instanceof Fault) return denied(refusals.logUnavailable())
  return {
    access_token: sign(claims),
    issued_token_type: request.tokenType,
    token_type: 'Bearer',
    expires_in: exp - now,
    scope: claims.scope,
    ...(run === null ? {} : { run_id: run.id }),
  }
}

/** Who is to act: whoever shows its own key, or is named, else the subject itself. */
function actorOf(pipeline: Pipeline, { actorToken, agent }: TokenRequest, subject: Identity): Link | Denied {
  if (actorToken === null) return { agent: agent ?? subject.agent, keyId: null }
  const shown = pipeline.identities.find(actorToken)
  // A token would bring a chain of its own, and an `act` names one.
  if (shown === null || shown.token !== undefined) return unacceptable('actor_token')
  if (agent !== null && agent !== shown.agent)
    return denied(refusals.invalid('actor_token is not a key of the agent that is named.'))
  return { agent: shown.agent, keyId: shown.keyId }
}

/** The chain with the actor at its end; as it was, where the actor is the subject. */
function linked(pipeline: Pipeline, subject: Identity, actor: Link): Delegation['links'] | Denied {
  const before = subject.token?.links ?? [{ agent: subject.agent, keyId: subject.keyId }]
  const links: Delegation['links'] = actor.agent === subject.agent ? before : [...before, actor]
  const stopped = pipeline.killswitch.stopOf(before.map(({ agent }) => `agent:${agent}`))
  if (stopped !== null) return denied(refusals.stopped(stopped, '', Date.now()))
  const broken = brokenLink({ links }, pipeline.policies().mayDelegate)
  if (broken !== null) return denied(refusals.delegationNotAllowed(broken.from, broken.to))
  const agents = new Set(links.map(({ agent }) => agent))
  return agents.size < links.length || links.length > longestChain
    ? denied(refusals.chainEnds([...agents], longestChain))
    : links
}

/** Unix seconds; never later than the subject's own end. */
function expiryOf({ token }: Identity, now: number, wanted: number | null): number {
  const wished = now + Math.min(wanted ?? lifetime.usual, lifetime.longest)
  return token === undefined ? wished : Math.min(wished, Math.floor(token.expiresAt / 1000))
}

/** The run that the token stands for; null where it was derived from none. */
async function runFor(
  pipeline: Pipeline,
  subject: Identity,
  who: Identity,
  named: string | null,
): Promise<Run | null | Refusal> {
  const id = named ?? subject.token?.run?.id ?? null
  if (id === null) return null
  const asker: Asker = { name: `agent:${subject.agent}`, agent: subject }
  const run = await theirs(pipeline, asker, id)
  if (run === null) return refusals.invalid(`run_id: there is no run ${JSON.stringify(id)} of yours.`)
  if (who.agent === subject.agent || run.about?.agent === who.agent) return run
  const opened = await openRun(pipeline, asker, { agent: who.agent, parentRunId: run.id }, who)
  return 'code' in opened ? opened : opened.run
}

/** Null where the log is away: what others cannot verify is not given. */
async function ready(signer: TokenSigner): Promise<((claims: TokenClaims) => string) | null> {
  try {
    return await signer.ready()
  } catch (error) {
    if (error instanceof Fault && error.retriable) return null
    throw error
  }
}

const denied = (refusal: Refusal, error: OauthError = errorOf(refusal)): Denied => ({ error, refusal })

function errorOf({ code, retryAfterMs }: Refusal): OauthError {
  if (code === 'delegation_not_allowed') return 'invalid_target'
  return retryAfterMs === undefined ? 'invalid_request' : 'temporarily_unavailable'
}

/** RFC 8693, 2.2.2: whatever is wrong with it, it is an `invalid_request`. */
const unacceptable = (parameter: 'subject_token' | 'actor_token'): Denied =>
  denied({
    code: 'unauthenticated',
    status: 400,
    message: `${parameter} is no key or token that counts here: it may be expired, revoked or meant for another use.`,
  })
