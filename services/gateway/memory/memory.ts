import type { Event } from '../../../schemas/events.ts'
import { llmCall } from '../../../schemas/llm.ts'
import { acts } from '../../core/runs/acts.ts'
import { birthOf, limitsOf, workIn } from '../runs/facts.ts'
import type { Runs } from '../runs/runs.ts'
import type { Queued } from './queued.ts'
import type { Reports } from './reports.ts'

/**
 * What a gateway knows of runs is a fold of events: of its own former life when it starts, and of other gateways while
 * it runs. Both come through here.
 */
export type Memory = {
  readonly runs: Runs
  readonly queued: Queued
  readonly reports: Reports
  /** Somebody asked for a stop or a resume: it is obeyed until control has the decision. */
  readonly asked: (event: Event) => void
}

/** Under which each gateway marks, in its own partition, how far back a next life has to read. */
export const memoryGroup = 'gateway-memory'

/** Types that say something of a run's conversation; all others need not even be parsed. */
export const memorable: ReadonlySet<string> = new Set([
  ...acts,
  'llm.completed',
  'llm.queued',
  'admission.continued',
  'tool.called',
  'tool.returned',
  'agent.called',
  'agent.returned',
  'run.started',
  'run.continued',
  'run.finished',
])

/** `own`: this gateway wrote it, in this life or a former one. Events older than `sinceMs` are of runs that have ended. */
export function remember({ runs, queued, reports, asked }: Memory, event: Event, own: boolean, sinceMs: number): void {
  if (event.time < sinceMs && event.type !== 'llm.queued') return
  if ('data' in event && event.data !== undefined && 'reported_id' in event.data)
    reports.first(event.agent, event.data.reported_id)
  switch (event.type) {
    case 'llm.queued':
      queued.remember(event)
      break
    case 'admission.continued':
      if (event.response_id !== undefined)
        queued.remember({ type: 'llm.queued', ...llmCall.parse(event), response_id: event.response_id })
      break
    case 'llm.completed':
      if (event.response_id !== undefined) queued.forget(event.agent, event.response_id)
      runs.remember(scopeOf(event), {
        work: workIn(event),
        at: event.time,
        own,
        mark: event.data?.thread ?? null,
        responseId: event.response_id ?? null,
      })
      break
    case 'tool.called': {
      const { id, source, time, type, ...fields } = event
      runs.remember(scopeOf(event), { work: workIn(event), at: time, own, mark: null, responseId: null })
      runs.get(event.run_id)?.calls.call(callIn(event), time, fields)
      break
    }
    case 'tool.returned':
      runs.get(event.run_id)?.calls.answer({ ...callIn(event), content: '', isError: false })
      break
    case 'run.started':
    case 'run.continued':
      runs.born(birthOf(event, own))
      break
    case 'run.resumed': {
      const run = runs.get(event.run_id)
      if (run !== undefined && event.data?.limits !== undefined)
        runs.limit(run, limitsOf(event.data.limits), event.data.limits_version ?? 0)
      asked(event)
      break
    }
    case 'run.paused':
    case 'run.killed':
    case 'run.expired':
    case 'scope.paused':
    case 'scope.resumed':
    case 'scope.killed':
      asked(event)
      break
    case 'run.finished':
      runs.forget(event.run_id, event.reason)
  }
}

/** Whose conversations may be tied to each other: never across agents or keys. */
export const scopeOf = (who: { readonly agent: string; readonly key_id?: string | undefined }): string =>
  `${who.agent} ${who.key_id ?? ''}`

const callIn = (event: { readonly tool: string; readonly tool_call_id?: string | undefined }) => ({
  id: event.tool_call_id ?? null,
  name: event.tool,
  args: '',
  by: 'client' as const,
})
