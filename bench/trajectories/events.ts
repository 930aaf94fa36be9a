import type { Event } from '../../schemas/events.ts'
import { canonicalText } from '../../services/core/wire/canonical.ts'
import type { Recorded, RecordedStep } from './recorded.ts'

/** An event of a played run, and the recorded step that it comes from. */
export type Played = { readonly event: Event; readonly step: RecordedStep }

/** Where a recording has no times: about what a step of an agent takes. */
const stepMs = 5_000
/** What recordings cut a text to; a text as long as this is a part. */
const cutAt = 1_000

/**
 * A run as a gateway would have told it: a model's answer, the tools that it asks for, and what they return. What a model
 * was asked is not recorded: where tools have returned since its last answer it is what they returned, else a person or
 * another agent has spoken, and then it is taken to be new each time.
 */
export function eventsOf(run: Recorded): readonly Played[] {
  const played: Played[] = []
  const work = { agent: run.run_id, run_id: run.run_id, root_run_id: run.run_id }
  let sequence = 0
  let time = Date.parse('2026-01-01T00:00:00Z')
  let heard = ''
  const tell = (step: RecordedStep, fields: Readonly<Record<string, unknown>>) => {
    const head = { id: `gateway-trajectory.1.${sequence++}`, source: 'trajectories', time }
    // Built after the schemas' own examples; the tests play such events through the schemas.
    played.push({ step, event: { ...head, ...work, ...fields } as unknown as Event })
  }
  const called = (step: RecordedStep, request: string | null) => ({
    type: 'tool.called',
    operation: 'execute_tool',
    observed: 'conversation',
    tool: step.tool ?? '',
    tool_call_id: `call-${step.i}`,
    args: canonicalText(step.args ?? ''),
    args_hash: step.args_sha ?? '',
    ...(request === null ? {} : { request_id: request }),
  })
  for (const [i, step] of run.steps.entries()) {
    const at = step.t === undefined ? Number.NaN : Date.parse(step.t)
    time = Number.isNaN(at) ? time + stepMs : Math.max(time, at)
    if (step.kind === 'tool') {
      if (run.steps[i - 1]?.kind !== 'llm') tell(step, called(step, null))
      const failed = step.error === true
      tell(step, {
        ...called(step, null),
        type: 'tool.returned',
        result: step.result ?? '',
        result_hash: step.result_sha ?? '',
        outcome: failed ? 'error' : 'success',
        ...(failed ? { error_type: 'tool_error' } : {}),
      })
      heard += ` ${step.result_sha}`
      continue
    }
    const request = `request-${step.i}`
    const next = run.steps[i + 1]
    const model = { operation: 'chat', protocol: 'openai', provider: 'recorded', model_requested: 'recorded' }
    tell(step, { type: 'admission.granted', ...model, request_id: request })
    if (next?.kind === 'tool') tell(next, called(next, request))
    const last = heard === '' ? `said ${step.i}` : heard
    const answer = `${step.text_sha} ${next?.kind === 'tool' ? `${next.tool} ${next.args_sha}` : ''}`
    tell(step, {
      type: 'llm.completed',
      ...model,
      request_id: request,
      outcome: 'success',
      ...(step.tokens?.in == null ? {} : { input_tokens: step.tokens.in }),
      ...(step.tokens?.out == null ? {} : { output_tokens: step.tokens.out }),
      data: { thread: { length: i + 2, first: 'first', last, chain: `${i} ${last}`, answer, ids: [] } },
    })
    heard = ''
  }
  return played.map(({ event, step }) => ({ event: whole(event), step }))
}

/** A text that was cut is a preview, which says so by being no longer what its hash is of. */
const whole = (event: Event): Event =>
  'args' in event && (event.args?.length ?? 0) >= cutAt ? { ...event, args: event.args?.slice(0, cutAt - 1) } : event
