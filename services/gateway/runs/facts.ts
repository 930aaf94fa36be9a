import type { Budget } from '../../../schemas/budget.ts'
import type { Event, Fact } from '../../../schemas/events.ts'
import type { RunContinued, RunLimitsTold, RunStarted } from '../../../schemas/run.ts'
import { type Work, work } from '../../../schemas/work.ts'
import { defined } from '../../core/defined.ts'
import { lifeLimit, noLimits, type RunLimits } from '../../core/runs/limits.ts'
import type { Birth, Run } from './run.ts'
import type { Runs } from './runs.ts'

/** What is told of runs, and what is read of it again. */

/** Takes of an event what is about its work, and nothing else. */
export const workIn = (event: Event): Work => work.parse(event)

/** A run's place and owner, without what belongs to one request of it. */
export function workOfRun(run: Run): Work | null {
  if (run.about === null) return null
  const { step, request_id, parent_run_id, ancestors, depth, ...about } = run.about
  return {
    ...about,
    run_id: run.id,
    root_run_id: run.rootId,
    ...(run.parentId === null
      ? {}
      : { parent_run_id: run.parentId, ancestors: [...run.ancestors], depth: run.ancestors.length }),
  }
}

/** The start of a run, or that it goes on. `defaults`: the budgets of runs without their own. */
export function startOf(run: Run, about: Work, first: boolean, defaults: readonly Budget[]): Fact {
  const { step, request_id, ...work } = about
  const limit = lifeLimit(run.limits.budgets ?? defaults)
  return {
    type: first ? 'run.started' : 'run.continued',
    ...work,
    ...(limit === null ? {} : { limit_nano_usd: limit }),
    data: standingOf(run),
  }
}

export const standingOf = (run: Run): NonNullable<RunStarted['data']> => ({
  started_at: run.startedAt,
  ...(run.children === 0 ? {} : { children: run.children }),
  ...(run.limitsVersion === 0 ? {} : { limits: toldLimits(run.limits), limits_version: run.limitsVersion }),
})

export const toldLimits = ({ budgets, maxSteps, maxDepth, maxChildren, maxDurationMs }: RunLimits): RunLimitsTold =>
  defined({
    budgets: budgets === null ? undefined : budgets.map(budget => ({ ...budget, alertAt: [...budget.alertAt] })),
    max_steps: maxSteps ?? undefined,
    max_depth: maxDepth ?? undefined,
    max_children: maxChildren ?? undefined,
    max_duration_ms: maxDurationMs ?? undefined,
  })

export const limitsOf = (told: RunLimitsTold): RunLimits => ({
  budgets: told.budgets ?? null,
  maxSteps: told.max_steps ?? null,
  maxDepth: told.max_depth ?? null,
  maxChildren: told.max_children ?? null,
  maxDurationMs: told.max_duration_ms ?? null,
})

/** Written before starts told anything, an event has only its work. */
export const birthOf = (event: Event & (RunStarted | RunContinued), own: boolean): Birth => ({
  work: workIn(event),
  limits: event.data?.limits === undefined ? noLimits : limitsOf(event.data.limits),
  limitsVersion: event.data?.limits_version ?? 0,
  startedAt: event.data?.started_at ?? event.time,
  children: event.data?.children ?? 0,
  at: event.time,
  own,
})

/** The starts that are due when a call of the run begins. */
export function startsDue(runs: Runs, run: Run, about: Work, defaults: readonly Budget[]): readonly Fact[] {
  return runs.toTell(run).flatMap(due => {
    const work = due.run === run ? about : workOfRun(due.run)
    return work === null ? [] : startOf(due.run, work, due.first, defaults)
  })
}
