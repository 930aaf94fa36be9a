import type { AdmissionContinued } from '../../../schemas/admission.ts'
import type { Envelope } from '../../../schemas/envelope.ts'
import { openingOf } from '../../../schemas/events.ts'
import type { Recorder } from '../recorder.ts'
import type { OpenCall, OpenCalls } from './open-calls.ts'
import type { Queued } from './queued.ts'
import type { Admission } from './recover.ts'

/**
 * How far back a start reads, in records: a second or two, whatever the traffic was. So that nothing open is further back,
 * a call that is still open after half as many is told again; the other half is far more than a gateway writes before
 * that is looked for again.
 */
export const readBack = { records: 200_000, toldAgainAfter: 100_000 }

/**
 * Tells again of calls that have been open for long. `earliest` and `end`: where this gateway's events begin and end now,
 * for a small spool does not keep as many as a start would read.
 */
export function carryOn(
  { open, queued, recorder }: { readonly open: OpenCalls; readonly queued: Queued; readonly recorder: Recorder },
  { earliest, end }: { readonly earliest: number; readonly end: number },
  after = readBack.toldAgainAfter,
): void {
  // A log that takes nothing now is told when it does; it does not grow meanwhile.
  const due = recorder.waiting() > 0 ? [] : open.toldBefore(Math.max(earliest, end - after))
  if (due.length === 0) return
  const answers = due.some(({ isHeld }) => isHeld) ? queued.byRequest() : null
  for (const { offset, call, isHeld } of due) {
    const { opening, own } = call.admission
    const answer = isHeld ? answers?.get(call.requestId) : undefined
    const since = { latency_ms: Math.round(performance.now() - call.since) }
    const background = answer === undefined ? {} : { provider: answer.provider, response_id: answer.response_id }
    recorder.tell(
      { type: 'admission.continued', opening, own: { ...own, ...since, ...background } },
      call.rootRunId,
      at => open.toldAgain(offset, at),
    )
  }
}

/** A call of a former life, as it is told on: what was told again about it is told anew. */
export function openCallOf(admission: Admission): OpenCall {
  const { type, time, provider, ...rest } = admission
  const { id, source, latency_ms, response_id, ...fields } = rest as typeof rest & Told
  return {
    requestId: admission.request_id ?? '',
    rootRunId: admission.root_run_id,
    admission: { type: 'admission.granted', opening: openingOf(fields), own: {} },
    since: performance.now() - (Date.now() - time) - (latency_ms ?? 0),
  }
}
/** The rest of its envelope, and what only `admission.continued` has. */
type Told = Partial<Envelope> & Pick<AdmissionContinued, 'latency_ms' | 'response_id'>
