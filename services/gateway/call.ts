import type { Fact } from '../../schemas/events.ts'
import type { LlmCall } from '../../schemas/llm.ts'
import type { Work } from '../../schemas/work.ts'
import type { Told } from '../core/lineage.ts'
import type { Door } from './door.ts'
import type { Identity } from './identity.ts'
import type { Ask } from './protocols/protocol.ts'
import type { Found, Told as Lineage } from './runs.ts'
import { defined } from './settle.ts'

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
  /** What all of its facts have in common. */
  readonly base: Omit<LlmCall, 'type'>
}

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
  return {
    requestId: also.requestId,
    door,
    ask,
    body,
    lineage,
    found,
    arrivedAt: also.arrivedAt,
    base: {
      agent: who.agent,
      key_id: who.keyId,
      run_id: run.id,
      root_run_id: run.rootId,
      run_source: found.source,
      request_id: also.requestId,
      policy_version: also.policyVersion,
      operation: ask.operation ?? route.operation,
      protocol: door.protocol.name,
      stream: ask.stream,
      ...defined({
        step: also.step ?? undefined,
        team: also.team,
        user: told.user ?? undefined,
        session_id: told.session ?? undefined,
        task: told.task ?? undefined,
        labels: told.labels ?? undefined,
        parent_run_id: run.parentId ?? undefined,
        ancestors: run.ancestors.length === 0 ? undefined : [...run.ancestors],
        depth: run.ancestors.length === 0 ? undefined : run.ancestors.length,
        trace_id: told.traceId ?? undefined,
        parent_span_id: told.parentSpanId ?? undefined,
        model_requested: ask.model ?? undefined,
      }),
    },
  }
}

/** Whose work it is and where in the run it stands, without what only a model call has. */
export function workOf(call: Call): Work {
  const { operation, protocol, stream, model_requested, provider, ...work } = call.base
  return work
}

/** The fact that a run was seen for the first time, without what belongs to one request of it. */
export function runStarted(call: Call): Fact {
  const { step, request_id, ...work } = workOf(call)
  return { type: 'run.started', ...work }
}
