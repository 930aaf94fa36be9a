import type { IncomingMessage, ServerResponse } from 'node:http'
import { continued, type Fact } from '../../schemas/events.ts'
import { told } from '../core/conversation/lineage.ts'
import { Fault } from '../io/fault.ts'
import { admission, admit } from './admit.ts'
import { type Call, fileCall } from './call.ts'
import { type Caller, HttpCaller } from './caller.ts'
import { conclude } from './conclude.ts'
import { type Door, doorOf } from './door.ts'
import type { Identity } from './identity/identity.ts'
import { modelsFor, toldUnder } from './identity/under-token.ts'
import { scopeOf } from './memory/memory.ts'
import type { Pipeline } from './parts.ts'
import type { Ask, Protocol, Refusal } from './protocols/protocol.ts'
import { historyIn } from './protocols/turns.ts'
import { readJson } from './read.ts'
import { refusals } from './refusals.ts'
import { refusalAnswer, refuse } from './refuse.ts'
import { startsDue } from './runs/facts.ts'
import { place } from './runs/leave.ts'
import type { Found, Told } from './runs/runs.ts'
import { returnedFacts } from './runs/tools.ts'
import { outgoing, ownHeaders } from './upstream/outgoing.ts'

/** identity ─► policy ─► admit ─► route ─► upstream ─► meter ─► record. Every exit passes the recorder. */
export async function serve(pipeline: Pipeline, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const arrivedAt = performance.now()
  const caller = new HttpCaller(req, res)
  const policies = pipeline.policies()
  const requestId = pipeline.mintRequestId()
  const [path, query] = splitUrl(req.url ?? '/')
  const no = (refusal: Refusal, protocol: Protocol, about: About = {}) =>
    refuse(pipeline, caller, refusal, protocol, { requestId, arrivedAt, ...about })

  const version = req.headers['anthropic-version']
  const door = doorOf(policies, req.method ?? 'GET', path, query, typeof version === 'string' ? version : null)
  const who = pipeline.identities.of(req.headers, query)
  if (who === null) return no(refusals.unauthenticated(req.headers.authorization), door.protocol)
  if ('refusal' in door) return no(door.refusal, door.protocol, { who })
  if (pipeline.inFlight.draining) return no(refusals.draining(), door.protocol, { who, door })
  if (pipeline.inFlight.count >= pipeline.limits.callsInFlight)
    return no(refusals.overloaded(), door.protocol, { who, door })

  pipeline.inFlight.count++
  try {
    const body = await pipeline.bodies.read(req)
    if (body === 'cut') return
    if (body === 'too_large') return no(refusals.tooLarge(pipeline.limits.bodyBytes), door.protocol, { who, door })
    if (body === 'too_slow')
      return no(refusals.tooSlow(pipeline.limits.bodyIdleTimeoutMs), door.protocol, { who, door })
    await serveRead(pipeline, caller, door, who, body, { requestId, arrivedAt, no })
  } finally {
    pipeline.inFlight.count--
  }
}

type About = { readonly who?: Identity; readonly door?: Door; readonly call?: Call }
type Context = {
  readonly requestId: string
  readonly arrivedAt: number
  readonly no: (refusal: Refusal, protocol: Protocol, about?: About) => void
}

async function serveRead(
  pipeline: Pipeline,
  caller: Caller,
  door: Door,
  who: Identity,
  body: Buffer,
  context: Context,
): Promise<void> {
  const { protocol, matched } = door
  const { no } = context
  const policies = pipeline.policies()
  const { route } = matched
  const bodiless = route.method === 'GET' || route.bodiless === true || route.shape === 'passthrough'
  const json = bodiless ? null : readJson(body)
  if (json !== null && 'unreadable' in json) return no(refusals.invalid(json.unreadable), protocol, { who, door })
  const document = json === null ? null : json.value
  const ask = protocol.ask(matched, document, body, door.query)
  if (ask.invalid !== null) return no(refusals.invalid(ask.invalid), protocol, { who, door })
  if (matched.route.operation === 'list_models' && door.pinned === null)
    return caller.answer(
      200,
      answerHeaders(context.requestId),
      Buffer.from(JSON.stringify(protocol.modelList(modelsFor(policies, who, protocol)))),
    )

  const headers = toldUnder(who, told(caller.req.headers))
  const conversation = protocol.conversation(matched)
  const lineage = {
    scope: scopeOf({ agent: who.agent, key_id: who.keyId }),
    claim: headers.claim,
    parentRunId: headers.parentRunId,
    previousResponseId: ask.previousResponseId,
    history: conversation === null || json === null ? null : historyIn(conversation, document),
  }
  if (pipeline.peers.any) await knownElsewhere(pipeline, lineage, door, who)
  const found = place(pipeline, who, lineage)
  if ('code' in found) return no(found, protocol, { who, door })
  // Before anything is decided: what the request brings back may be why it is refused.
  for (const fact of resultsIn(pipeline, lineage, found, ask)) pipeline.recorder.tell(fact, found.run.rootId)
  const team = policies.teamOf(who.agent)
  const { requestId } = context
  const asked = admit(pipeline, policies, caller, { requestId, door, ask, body, document, who, team, found })
  const decided = 'then' in asked ? await asked : asked
  const call = fileCall(door, ask, body, who, headers, lineage, found, {
    ...context,
    // A refused request is no step: steps are what the run did.
    step: decided.refusal === null ? ++found.run.steps : null,
    team,
    policyVersion: policies.version,
  })
  if (decided.refusal !== null) return no(decided.refusal, protocol, { who, door, call })
  const { plan, paid } = decided

  for (const start of startsDue(pipeline.runs, found.run, call.work, policies.runs.budgets))
    pipeline.recorder.tell(start, call.base.root_run_id)
  const granted = admission(call, paid)
  const admitted = await pipeline.recorder.try(granted, call.base.root_run_id)
  // The hold went to its own log at the same time.
  const written = paid?.written ?? null
  if (
    admitted instanceof Fault ||
    (written !== null && !(await written)) ||
    (pipeline.replicated !== null && !(await pipeline.replicated(call.requestId, admitted.offset, paid !== null)))
  )
    return neverMade(pipeline, caller, call, admitted)

  const { root_run_id: rootRunId } = call.base
  pipeline.open.begin(admitted.offset, { requestId, rootRunId, admission: granted, since: context.arrivedAt })
  pipeline.runs.begun(found.run, call.work)
  const forwarded = await pipeline.forward(
    plan,
    outgoing(call, plan.timeoutMs, caller.req.rawHeaders, paid?.hold.limit ?? null),
    caller,
  )
  conclude(pipeline, caller, call, admitted.offset, forwarded)
}

/**
 * A conversation that goes on and that is not known here may have begun at another gateway, whose word is on its way: it
 * is waited for, briefly.
 */
async function knownElsewhere(pipeline: Pipeline, told: Told, door: Door, who: Identity): Promise<void> {
  const deadline = performance.now() + peersWaitMs
  while (pipeline.runs.goesOnUnknown(told) || isUnheard(pipeline, door, who)) {
    const left = deadline - performance.now()
    if (left <= 0 || !(await pipeline.peers.news(left))) return
  }
}

/** An answer in the background is asked for, and nothing tells who has it. */
const isUnheard = ({ queued }: Pipeline, { matched, pinned }: Door, { agent }: Identity): boolean =>
  matched.route.operation === 'retrieve' &&
  pinned === null &&
  queued.providerOf(agent, matched.params['id'] ?? '') === null

/** A record is with all readers some milliseconds after it was written; on a busy machine or over Kafka, some tens. */
const peersWaitMs = 500

/** The tool results that the request brings back, of calls that its run has open. */
function resultsIn(pipeline: Pipeline, { history }: Told, { run, tie }: Found, ask: Ask): readonly Fact[] {
  if (history === null) return []
  // Where the provider keeps the history, the request's turns are all new; else those behind the knot are.
  const behind = tie !== null && tie.knot.runId === run.id && ask.previousResponseId === null ? tie.knot.length : 0
  const from = behind <= history.length ? behind : 0
  return returnedFacts(run.calls, history, from, Date.now(), pipeline.payloads)
}

/** Admitted, but not to be proved after a crash: so its provider is not called. */
function neverMade(
  pipeline: Pipeline,
  caller: Caller,
  call: Call,
  admitted: { readonly offset: number } | Fault,
): void {
  const refusal = refusals.logUnavailable()
  pipeline.money.till.settle(call.requestId, 0, null)
  if (!(admitted instanceof Fault)) {
    pipeline.recorder.tell(
      continued('llm.completed', call.opening, {
        outcome: 'blocked',
        reason: refusal.code,
        http_status: refusal.status,
        error_type: refusal.code,
        attempts: 0,
        cost_nano_usd: 0,
        latency_ms: Math.round((performance.now() - call.arrivedAt) * 1000) / 1000,
      }),
      call.base.root_run_id,
    )
  }
  pipeline.metrics.refused(refusal.code, call.base.agent)
  refusalAnswer(caller, call.door.protocol, refusal, ownHeaders(call))
}

const answerHeaders = (requestId: string) => ['content-type', 'application/json', 'x-sluice-request-id', requestId]

function splitUrl(url: string): [path: string, query: string] {
  const at = url.indexOf('?')
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at + 1)]
}
