import { defined } from '../core/defined.ts'
import type { Call } from './call.ts'
import type { Caller } from './caller.ts'
import type { Door } from './door.ts'
import type { Identity } from './identity/identity.ts'
import { chainOf } from './identity/under-token.ts'
import type { Pipeline } from './parts.ts'
import type { Protocol, Refusal } from './protocols/protocol.ts'
import { ownHeaders } from './upstream/outgoing.ts'

export type Refused = {
  readonly requestId: string
  readonly arrivedAt: number
  readonly who?: Identity
  readonly door?: Door
  readonly call?: Call
}

/**
 * Tells a refusal in the protocol's own shape and files it. A stranger's requests are counted, not filed: a scanner must
 * not be able to fill the log.
 */
export function refuse(pipeline: Pipeline, caller: Caller, refusal: Refusal, protocol: Protocol, about: Refused): void {
  const { call, who, door } = about
  pipeline.metrics.refused(refusal.code, who?.agent ?? null)
  if (who !== undefined && door !== undefined && refusal.code !== 'log_unavailable') {
    const root = call?.base.root_run_id ?? about.requestId
    pipeline.recorder.tell(
      {
        type: 'admission.refused',
        ...(call?.base ?? strayOf(about.requestId, who, door, pipeline.policies().version)),
        outcome: 'blocked',
        decision: 'deny',
        reason: refusal.code,
        http_status: refusal.status,
        error_type: refusal.code,
        latency_ms: Math.round((performance.now() - about.arrivedAt) * 1000) / 1000,
      },
      root,
    )
  }
  const headers = call === undefined ? ['x-sluice-request-id', about.requestId] : ownHeaders(call)
  refusalAnswer(caller, protocol, refusal, headers)
}

/** A request that was refused before it could be filed under a run is a run of its own. */
const strayOf = (requestId: string, who: Identity, door: Door, policyVersion: string) => ({
  agent: who.agent,
  key_id: who.keyId,
  run_id: requestId,
  root_run_id: requestId,
  request_id: requestId,
  policy_version: policyVersion,
  operation: door.matched.route.operation,
  protocol: door.protocol.name,
  ...defined({ provider: door.pinned?.name }),
  ...chainOf(who),
})

export function refusalAnswer(caller: Caller, protocol: Protocol, refusal: Refusal, headers: readonly string[]): void {
  const { body, headers: shaped } = protocol.refusal(refusal)
  // A body that was not read whole would be taken for the next request on this connection.
  const unread = caller.req.complete ? [] : ['connection', 'close']
  caller.answer(refusal.status, [...Object.entries(shaped).flat(), ...headers, ...unread], body)
}
