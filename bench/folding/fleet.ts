import type { Event } from '../../schemas/events.ts'
import type { Work } from '../../schemas/work.ts'
import { chanceOf } from './chance.ts'

/**
 * A fleet at work, as its gateway tells of it: runs of a dozen steps, each an admission, a model's answer that asks for a
 * tool, and what the tool returned; one tool call in fifty fails. Nothing of it gives a rule cause to speak: what is
 * measured is the work that is done for those who behave. The same numbers give the same fleet.
 */
export type FleetSize = {
  readonly agents: number
  /** Under way at once, each at a step of its own; whoever ends makes room for the next. */
  readonly liveRuns: number
}

/** Events of the whole fleet by its clock: five thousand a second. */
const perMs = 5
const stepsPerRun = 12
/** In the first moment each agent makes a call, so that all are known. */
const stepsOfFirst = 1

type Run = { readonly work: Work; readonly steps: number; step: number; phase: number; pending: Asked | null }
type Asked = { readonly tool: string; readonly id: string; readonly args: string; readonly args_hash: string }

export type Fleet = {
  /** Each agent is heard once. */
  readonly first: () => Generator<Event>
  readonly next: () => Event
}

export function openFleet({ agents, liveRuns }: FleetSize): Fleet {
  const chance = chanceOf(7)
  const began = Date.now() - 3_600_000
  let told = 0
  let runs = 0

  const begin = (agent: number, steps: number, step = 0): Run => {
    const run_id = `run-${(runs++).toString(36).padStart(6, '0')}${chance.hex(20)}`
    const work: Work = {
      team: `team-${agent % 20}`,
      agent: `agent-${agent}`,
      user: `user-${agent % 997}@example.com`,
      key_id: `k${agent.toString(36).padStart(7, '0')}`,
      session_id: `session-${chance.hex(12)}`,
      task: 'answer what customers ask',
      labels: { env: 'prod', region: 'eu-west-1' },
      run_id,
      root_run_id: run_id,
      run_source: 'header',
      policy_version: '7-3f9a1c2b4d5e',
    }
    return { work, steps, step, phase: step === 0 ? 0 : 1, pending: null }
  }

  const tell = (run: Run): Event => {
    const sequence = told++
    const head = {
      id: `gateway-3f9a1c2b-0.7.${sequence}`,
      source: '/sluice/gateway-3f9a1c2b-0',
      time: began + Math.floor(sequence / perMs),
    }
    const { work } = run
    if (run.phase === 1) run.step += 1
    const request_id = `req-${work.run_id.slice(4, 16)}-${run.step}`
    const call = { operation: 'chat', protocol: 'openai', model_requested: 'gpt-4o-mini', stream: true } as const
    switch (run.phase++) {
      case 0:
        return { ...head, type: 'run.started', ...work, limit_nano_usd: 2e9, data: { started_at: head.time } }
      case 1:
        return {
          ...head,
          type: 'admission.granted',
          ...work,
          step: run.step,
          request_id,
          ...call,
          provider: 'openai',
          bound_input_tokens: 900 + run.step * 300,
          bound_output_tokens: 1_024,
          bound_nano_usd: 1_050_000,
          data: {
            nodes: [`run:${work.run_id}/life`, `agent:${work.agent}/1d@2026-11-21`, `team:${work.team}/1mo@2026-11-01`],
            epoch: 7,
          },
        }
      case 2: {
        if (run.step >= run.steps) return tell(run)
        const args = JSON.stringify(chance.arguments())
        run.pending = { tool: chance.tool(), id: `call_${chance.hex(24)}`, args, args_hash: chance.hex(32) }
        return { ...head, type: 'tool.called', ...work, step: run.step, request_id, ...toolOf(run.pending) }
      }
      case 3: {
        const input = 600 + run.step * 310
        const output = 40 + chance.below(300)
        const latency_ms = 400 + chance.below(2_000) + 0.125
        if (run.step >= run.steps) run.phase = 5
        return {
          ...head,
          type: 'llm.completed',
          ...work,
          step: run.step,
          request_id,
          ...call,
          input_tokens: input,
          output_tokens: output,
          cache_read_tokens: 512,
          usage_source: 'provider',
          model: 'gpt-4o-mini-2024-07-18',
          attempts: 1,
          cost_nano_usd: input * 150 + output * 600,
          price_version: 'genai-prices@0.1.8',
          outcome: 'success',
          http_status: 200,
          upstream_status: 200,
          finish_reason: run.pending === null ? 'stop' : 'tool_calls',
          latency_ms,
          ttft_ms: 180 + chance.below(300),
          gateway_us: 310,
          result_bytes: 280,
          provider: 'openai',
          response_id: `chatcmpl-${chance.hex(29)}`,
          data: {
            attempts: [{ n: 1, provider: 'openai', model: 'gpt-4o-mini', status: 200, latency_ms, ttfb_ms: 170.5 }],
            usage: {
              prompt_tokens: input,
              completion_tokens: output,
              total_tokens: input + output,
              prompt_tokens_details: { cached_tokens: 512, audio_tokens: 0 },
              completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
            },
            thread: {
              length: run.step * 2,
              glance: chance.below(2 ** 31),
              first: chance.hex(27),
              last: chance.hex(27),
              chain: chance.hex(27),
              answer: chance.hex(27),
              ids: run.pending === null ? [] : [run.pending.id],
            },
          },
        }
      }
      case 4: {
        const { pending } = run
        if (pending === null) throw new Error('a tool returned that was not called')
        run.phase = 1
        run.pending = null
        const failed = chance.below(50) === 0
        return {
          ...head,
          type: 'tool.returned',
          ...work,
          step: run.step,
          request_id,
          ...toolOf(pending),
          result: chance.words(60),
          result_hash: chance.hex(32),
          result_bytes: 2_400,
          result_empty: false,
          outcome: failed ? 'error' : 'success',
          ...(failed ? { error_type: 'tool_error', reason: 'tool_error' } : {}),
          latency_ms: 20 + chance.below(900),
        }
      }
      default:
        return { ...head, type: 'run.finished', ...work, reason: 'idle' }
    }
  }

  const isOver = ({ phase }: Run): boolean => phase > 5
  const live: Run[] = []
  return {
    *first() {
      for (let agent = 0; agent < agents; agent++)
        for (const run = begin(agent, stepsOfFirst); !isOver(run); ) yield tell(run)
    },
    next() {
      // A run that was met at its middle has been there before: so they do not all end together.
      while (live.length < liveRuns) live.push(begin(chance.below(agents), stepsPerRun, chance.below(stepsPerRun)))
      const at = chance.below(live.length)
      const run = live[at] as Run // at < length
      const event = tell(run)
      if (isOver(run)) live[at] = begin(chance.below(agents), stepsPerRun)
      return event
    },
  }
}

const toolOf = ({ tool, id, args, args_hash }: Asked) =>
  ({
    operation: 'execute_tool',
    tool,
    tool_call_id: id,
    observed: 'conversation',
    args,
    args_hash,
  }) as const
