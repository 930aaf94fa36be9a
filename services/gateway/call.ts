import { type Opening, openingOf } from '../../schemas/events.ts'
import type { LlmCall } from '../../schemas/llm.ts'
import type { Work } from '../../schemas/work.ts'
import type { Told } from '../core/conversation/lineage.ts'
import type { Door } from './door.ts'
import type { Identity } from './identity/identity.ts'
import { chainOf } from './identity/under-token.ts'
import type { Ask } from './protocols/protocol.ts'
import type { Found, Told as Lineage } from './runs/runs.ts'

/** One model call after it was read and filed; nothing of it changes any more. */
export type Call = {
  readonly requestId: string
  readonly door: Door
  readonly ask: Ask
  /** As the client sent it. */
  readonly body: Buffer
  /** What it told of its run, and the run that was found by it. */
  readonly lineage: Lineage
  readonly found: Found
  readonly arrivedAt: number
  /** Whose work it is and where in the run it stands. */
  readonly work: Work
  /** What all of its facts have in common; `opening` is the same as the beginning of their JSON. */
  readonly base: CallBase
  readonly opening: Opening<CallBase>
}

/** Absent fields are there as undefined, which JSON leaves out: objects of one shape are quickly made and read. */
export type CallBase = Omit<LlmCall, 'provider'>

/** `arrivedAt` by the monotonic clock, in milliseconds. */
export function fileCall(
  door: Door,
  ask: Ask,
  body: Buffer,
  who: Identity,
  told: Told,
  lineage: Lineage,
  found: Found,
  also: {
    readonly requestId: string
    readonly arrivedAt: number
    readonly step: number | null
    readonly team: string | undefined
    readonly policyVersion: string
  },
): Call {
  const { run } = found
  const { route } = door.matched
  const nested = run.ancestors.length > 0
  const delegated = who.token === undefined ? null : chainOf(who)
  const work: Work = {
    team: also.team,
    agent: who.agent,
    user: told.user ?? undefined,
    key_id: who.keyId,
    session_id: told.session ?? undefined,
    task: told.task ?? undefined,
    labels: told.labels ?? undefined,
    run_id: run.id,
    root_run_id: run.rootId,
    parent_run_id: run.parentId ?? undefined,
    ancestors: nested ? [...run.ancestors] : undefined,
    depth: nested ? run.ancestors.length : undefined,
    run_source: found.source,
    step: also.step ?? undefined,
    request_id: also.requestId,
    trace_id: told.traceId ?? undefined,
    parent_span_id: told.parentSpanId ?? undefined,
    chain: delegated?.chain,
    chain_verified: delegated?.chain_verified,
    policy_version: also.policyVersion,
  }
  const base: CallBase = {
    ...work,
    operation: ask.operation ?? route.operation,
    protocol: door.protocol.name,
    model_requested: ask.model ?? undefined,
    stream: ask.stream,
  }
  return {
    requestId: also.requestId,
    door,
    ask,
    body,
    lineage,
    found,
    arrivedAt: also.arrivedAt,
    work,
    base,
    opening: openingOf(base),
  }
}
