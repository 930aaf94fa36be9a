import type { Budget } from '../../../schemas/budget.ts'
import { nameOf } from '../../core/money/window.ts'
import { expiryOf, limitOf } from '../../core/runs/limits.ts'
import type { Standing } from '../../core/runs/stops.ts'
import type { Pipeline } from '../parts.ts'
import type { Run } from './run.ts'

export type RunState = 'running' | 'paused' | 'killed' | 'finished' | 'expired'

/** A run as `GET /v1/runs/{id}` tells it. Times are ISO 8601. */
export function viewOf(pipeline: Pipeline, run: Run): object {
  const defaults = pipeline.policies().runs
  const standing = pipeline.killswitch.stopOf(run.scopes)
  const state = stateOf(pipeline, run, standing)
  const { about } = run
  return {
    id: run.id,
    state,
    agent: about?.agent ?? null,
    team: about?.team ?? null,
    task: about?.task ?? null,
    labels: about?.labels ?? {},
    parentRunId: run.parentId,
    rootRunId: run.rootId,
    depth: run.ancestors.length,
    budgets: (run.limits.budgets ?? defaults.budgets).map(budgetSaid),
    maxSteps: limitOf('maxSteps', run, defaults),
    maxDepth: limitOf('maxDepth', run, defaults),
    maxChildren: limitOf('maxChildren', run, defaults),
    maxDurationMs: limitOf('maxDurationMs', run, defaults),
    steps: run.steps,
    children: run.children,
    startedAt: new Date(run.startedAt).toISOString(),
    lastAt: new Date(run.lastAt).toISOString(),
    endedAt: run.ended === null ? null : new Date(run.ended.at).toISOString(),
    reason: reasonOf(standing) ?? run.ended?.reason ?? null,
    stop: standing === null ? null : stopSaid(standing),
  }
}

function stateOf(pipeline: Pipeline, run: Run, standing: Standing | null): RunState {
  const defaults = pipeline.policies().runs
  if (standing?.stop.type === 'kill') return standing.stop.reason === 'run_expired' ? 'expired' : 'killed'
  const now = Date.now()
  if ([run, ...pipeline.runs.above(run)].some(one => expiryOf(one, defaults, now) !== null)) return 'expired'
  if (standing?.stop.type === 'pause') return 'paused'
  return run.ended === null ? 'running' : 'finished'
}

const reasonOf = (standing: Standing | null): string | null =>
  standing === null ? null : (standing.stop.reason ?? standing.stop.rule ?? null)

export const stopSaid = ({ stop, at }: Standing) => ({
  type: stop.type,
  scope: stop.scope,
  rule: stop.rule ?? null,
  actor: stop.actor ?? null,
  reason: stop.reason ?? null,
  evidence: stop.evidence,
  at: new Date(at).toISOString(),
  until: stop.data.until === undefined ? null : new Date(stop.data.until).toISOString(),
})

/** As people write it. */
const budgetSaid = ({ limitNanoUsd, window, resetAtMinute, timezone, alertAt }: Budget) => ({
  limitUsd: limitNanoUsd / 1e9,
  ...(window === null
    ? {}
    : {
        window: nameOf(window),
        timezone,
        ...(resetAtMinute === 0 ? {} : { resetAt: clock(resetAtMinute) }),
      }),
  alertAt,
})

const clock = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
