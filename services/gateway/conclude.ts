import { continued, openingOf } from '../../schemas/events.ts'
import type { LlmCall } from '../../schemas/llm.ts'
import type { Mark } from '../core/conversation/thread.ts'
import type { Call, CallBase } from './call.ts'
import type { Caller } from './caller.ts'
import type { Pipeline } from './parts.ts'
import type { Refusal } from './protocols/protocol.ts'
import { refusals } from './refusals.ts'
import { refusalAnswer } from './refuse.ts'
import { calledFacts } from './runs/tools.ts'
import { endingOf, settle } from './settle.ts'
import { askedWait, type Forwarded } from './upstream/forward.ts'
import { towardsClient } from './upstream/headers.ts'
import { ownHeaders, targetHeaders } from './upstream/outgoing.ts'

/**
 * The end of every admitted call: settled, priced, recorded, and only then told to the client, so that an answer which a
 * client has seen whole is an answer that the log knows.
 */
export function conclude(
  pipeline: Pipeline,
  caller: Caller,
  call: Call,
  /** Where its admission stands in the log. */
  offset: number,
  forwarded: Forwarded,
): void {
  const { last, target, attempts } = forwarded
  const { operation } = call.base
  const settled = settle(last, { operation, ask: call.ask, requestBytes: call.body.length })
  const { reading } = settled
  const { run } = call.found
  const refusal = refusalOf(forwarded, caller, run.id)
  const status = refusal?.status ?? (last.kind === 'left' ? 499 : (last.status ?? 502))
  const queued = reading?.queued === true && reading.responseId !== null
  const { shape } = call.door.matched.route
  const conversation = call.door.protocol.conversation(call.door.matched)
  const said = reading === null || conversation === null ? [] : reading.said.map(conversation.read)
  pipeline.runs.ended(run)
  pipeline.habits?.learn(call.base.agent, call.ask, call.body.length, settled)
  let thread: Mark | null = null
  if (conversation !== null && !queued) {
    const responseId = reading?.responseId ?? null
    // Where the provider may keep the history, a later request names this answer instead of sending it back.
    const kept = shape === 'responses' || shape === 'messages' ? responseId : null
    thread = pipeline.runs.answered(call.lineage, call.found, said, kept)
    if (shape === 'responses' && responseId !== null)
      pipeline.queued.hold(call.base.agent, responseId, target.provider.name)
  }
  const owner = pipeline.queued.take(call, settled)
  const cost = pipeline.prices.priceOf({
    provider: target.provider,
    operation,
    model: reading?.model ?? null,
    modelRequested: target.model ?? call.ask.model,
    usage: settled.usage,
    extras: reading?.extras ?? {},
    wireCostUsd: reading?.wireCostUsd ?? null,
    at: Date.now(),
  })

  /** Of a call that goes on in the background the hold stays, until another request brings its end. */
  const settleMoney = (ended: number | null) => {
    const billed = cost?.costNanoUsd ?? 0
    if (owner !== null && owner !== 'poll') pay(pipeline, call, owner.request_id ?? '', billed, ended)
    if (!queued) pay(pipeline, call, call.requestId, owner === null ? billed : 0, ended)
  }
  const reply = (ended: number | null) => {
    settleMoney(ended)
    // Only now: were the ending lost with this process, the next one would find an admission without it.
    if (queued) pipeline.open.hold(call.requestId, offset)
    else pipeline.open.end(offset)
    const began = owner === null || owner === 'poll' ? null : pipeline.open.release(owner.request_id ?? '')
    if (began !== null) pipeline.open.end(began)
    const passed = last.kind === 'whole' && refusal === null ? last : null
    const headers = passed === null ? [] : towardsClient(passed.headers, { decoded: false })
    headers.push(...ownHeaders(call), ...targetHeaders(target, attempts.length))
    if (cost !== null) headers.push('x-sluice-cost-usd', usd(cost.costNanoUsd))
    if (passed !== null) return caller.answer(status, headers, passed.body)
    if (refusal !== null) return refusalAnswer(caller, call.door.protocol, refusal, headers)
    const why = last.kind === 'streamed' ? breakOf(last.how, last.fault?.code ?? '', caller, run.id) : null
    if (why === null) return caller.end()
    caller.end(call.door.protocol.streamError(call.door.matched, why, call.door.query))
  }

  if (owner === 'poll') {
    // Asking again for what has not ended, or was booked before, is no call of its own.
    reply(null)
    return
  }

  const latencyMs = performance.now() - call.arrivedAt
  const fact = queued
    ? pipeline.queued.put(call, target, settled)
    : continued('llm.completed', owner === null ? call.opening : openingOf(withoutProvider(owner)), {
        // First: an object that begins as a copy is made in one go.
        ...endingOf(settled, {
          model: target.model ?? call.ask.model,
          attempts,
          httpStatus: status,
          upstreamStatus: last.status,
          latencyMs,
          upstreamMs: attempts.reduce((sum, attempt) => sum + attempt.latency_ms, 0),
          ttftMs: last.ttftMs,
          cost,
        }),
        provider: target.provider.name,
        response_id: reading?.responseId ?? undefined,
        data: {
          attempts: [...attempts],
          usage: reading?.rawUsage ?? undefined,
          error: reading?.error ?? undefined,
          thread: thread ?? undefined,
        },
      })
  for (const asked of calledFacts(run.calls, said, call.work, Date.now(), pipeline.payloads))
    pipeline.recorder.tell(asked, call.base.root_run_id)
  pipeline.recorder.tell(fact, call.base.root_run_id, reply)
  pipeline.metrics.ended(call.base, settled, {
    status,
    latencyMs,
    ttftMs: last.ttftMs,
    costNanoUsd: cost?.costNanoUsd ?? null,
    provider: target.provider.name,
  })
}

/** What a provider bills beyond what was held is spent all the same, and said aloud: it is how a cap can be passed. */
export function pay(
  pipeline: Pick<Pipeline, 'money' | 'recorder'>,
  call: Pick<Call, 'base'>,
  requestId: string,
  billedNanoUsd: number,
  ended: number | null,
): void {
  const overrun = pipeline.money.till.settle(requestId, billedNanoUsd, ended)
  if (overrun === null) return
  const { heldNanoUsd, boundNanoUsd } = overrun
  pipeline.recorder.tell(
    {
      type: 'admission.bound_violated',
      ...call.base,
      request_id: requestId,
      bound_nano_usd: boundNanoUsd,
      data: {
        billed_nano_usd: billedNanoUsd,
        beyond_nano_usd: billedNanoUsd - heldNanoUsd,
        holds: billedNanoUsd > boundNanoUsd ? 'bound' : 'learned',
      },
    },
    call.base.root_run_id,
  )
}

/** What the client is told instead of an answer, where there was none to pass on. */
function refusalOf(forwarded: Forwarded, caller: Caller, runId: string): Refusal | null {
  const { last, attempts } = forwarded
  if (last.kind === 'stopped')
    return caller.stopped === null ? null : refusals.stopped(caller.stopped, runId, Date.now())
  if (last.kind === 'failed') return refusals.upstream(last.fault.code, attempts)
  // The upstream's own refusals are its business; its failures are reported with what was tried.
  if (last.kind === 'whole' && last.status >= 500)
    return refusals.upstream('upstream_unavailable', attempts, askedWait(last))
  return null
}

/** What the last event of a stream says that did not come to its own end. */
function breakOf(how: string, fault: string, caller: Caller, runId: string): Refusal | null {
  if (how === 'broken') return refusals.brokenStream(fault)
  return how === 'stopped' && caller.stopped !== null ? refusals.stopped(caller.stopped, runId, Date.now()) : null
}

/** It is told by the provider that ended the call. */
function withoutProvider({ provider, ...base }: Omit<LlmCall, 'type'>): CallBase {
  return base
}

/** Nano-dollars as a decimal number of dollars, exact. */
export function usd(nano: number): string {
  const text = String(nano).padStart(10, '0')
  return `${text.slice(0, -9)}.${text.slice(-9).replace(/0{0,8}$/, '')}`
}
