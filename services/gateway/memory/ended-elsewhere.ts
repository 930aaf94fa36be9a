import type { Event } from '../../../schemas/events.ts'
import { type LlmCompleted, llmCall } from '../../../schemas/llm.ts'
import { pay } from '../conclude.ts'
import type { Pipeline } from '../parts.ts'

/**
 * A background answer is asked for wherever its client comes by. Where that is not the gateway that let the call through,
 * the end is told and booked there, and the money is held here: it is settled when the end is read. That is told too, for
 * a next life reads its own events before those of others, and may come when the others cannot be read.
 */
export function endedElsewhere(
  pipeline: Pick<Pipeline, 'open' | 'recorder' | 'money'>,
  event: Event & LlmCompleted,
): void {
  const requestId = event.request_id ?? ''
  const began = pipeline.open.release(requestId)
  if (began === null) return
  const base = llmCall.parse(event)
  const costNanoUsd = event.cost_nano_usd ?? 0
  pipeline.recorder.tell(
    { type: 'admission.settled', ...base, data: { cost_nano_usd: costNanoUsd } },
    base.root_run_id,
    offset => {
      pay(pipeline, { base }, requestId, costNanoUsd, offset)
      pipeline.open.end(began)
    },
  )
}
