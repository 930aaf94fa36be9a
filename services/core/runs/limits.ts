import type { Budget } from '../../../schemas/budget.ts'
import { nameOf } from '../money/window.ts'

/** What a run may do by its own terms. Null: as the policy says. */
export type RunLimits = {
  readonly budgets: readonly Budget[] | null
  readonly maxSteps: number | null
  /** Runs above the deepest one of its tree. */
  readonly maxDepth: number | null
  /** Runs that it may spawn itself. */
  readonly maxChildren: number | null
  readonly maxDurationMs: number | null
}
export const noLimits: RunLimits = {
  budgets: null,
  maxSteps: null,
  maxDepth: null,
  maxChildren: null,
  maxDurationMs: null,
}

/** The policy's word for runs without terms of their own. */
export type RunDefaults = {
  readonly maxSteps?: number | undefined
  readonly maxDepth?: number | undefined
  readonly maxChildren?: number | undefined
  readonly maxDurationMs?: number | undefined
}

/** A run as far as its limits go. `startedAt` is Unix milliseconds. */
export type LimitedRun = {
  readonly id: string
  readonly limits: RunLimits
  readonly steps: number
  readonly children: number
  readonly startedAt: number
}

export type Breach = {
  readonly code: 'max_steps_exceeded' | 'max_depth_exceeded' | 'max_children_exceeded' | 'run_expired'
  /** The run whose limit it is. */
  readonly runId: string
  readonly limit: number
}

/**
 * Which limit one more call of a run would break; null where it may go on. `above`: the runs above it, root first; `isNew`:
 * the call would be its first.
 */
export function breachOf(
  run: LimitedRun,
  above: readonly LimitedRun[],
  depth: number,
  isNew: boolean,
  defaults: RunDefaults,
  now: number,
): Breach | null {
  const parent = above.at(-1)
  if (isNew && parent !== undefined) {
    const deepest = least('maxDepth', run, above, defaults)
    if (deepest !== null && depth > deepest.limit) return { code: 'max_depth_exceeded', ...deepest }
    const most = limitOf('maxChildren', parent, defaults)
    if (most !== null && parent.children >= most)
      return { code: 'max_children_exceeded', runId: parent.id, limit: most }
  }
  for (const one of above) {
    const expired = expiryOf(one, defaults, now)
    if (expired !== null) return expired
  }
  const expired = expiryOf(run, defaults, now)
  if (expired !== null) return expired
  const steps = least('maxSteps', run, above, defaults)
  return steps !== null && run.steps >= steps.limit ? { code: 'max_steps_exceeded', ...steps, runId: run.id } : null
}

/** Whether its time is up. */
export function expiryOf(run: LimitedRun, defaults: RunDefaults, now: number): Breach | null {
  const limit = limitOf('maxDurationMs', run, defaults)
  return limit !== null && now - run.startedAt >= limit ? { code: 'run_expired', runId: run.id, limit } : null
}

type Counted = 'maxSteps' | 'maxDepth' | 'maxChildren' | 'maxDurationMs'

export const limitOf = (kind: Counted, { limits }: LimitedRun, defaults: RunDefaults): number | null =>
  limits[kind] ?? defaults[kind] ?? null

/** The tightest along a path, and whose it is. */
function least(
  kind: Counted,
  run: LimitedRun,
  above: readonly LimitedRun[],
  defaults: RunDefaults,
): { readonly runId: string; readonly limit: number } | null {
  const own = limitOf(kind, run, defaults)
  let found = own === null ? null : { runId: run.id, limit: own }
  for (const upper of above) {
    const limit = limitOf(kind, upper, defaults)
    if (limit !== null && (found === null || limit < found.limit)) found = { runId: upper.id, limit }
  }
  return found
}

/**
 * Why these terms are wider than what a run above has; null where they only narrow it. A budget is held against those of
 * the same window above it and against those for life, which bind whatever window stands below.
 */
export function widens(wanted: RunLimits, above: readonly RunLimits[]): string | null {
  for (const kind of ['maxSteps', 'maxDepth', 'maxChildren', 'maxDurationMs'] as const) {
    const most = above.reduce((min, limits) => Math.min(min, limits[kind] ?? min), Number.POSITIVE_INFINITY)
    const asked = wanted[kind]
    if (asked !== null && asked > most) return `${kind} ${asked} is more than the ${most} of a run above it`
  }
  for (const budget of wanted.budgets ?? [])
    for (const upper of above.flatMap(limits => limits.budgets ?? []))
      if ((upper.window === null || sameWindow(budget, upper)) && budget.limitNanoUsd > upper.limitNanoUsd)
        return `a budget of $${budget.limitNanoUsd / 1e9} is more than the $${upper.limitNanoUsd / 1e9} of a run above it`
  return null
}

const sameWindow = (a: Budget, b: Budget): boolean =>
  a.window !== null &&
  b.window !== null &&
  nameOf(a.window) === nameOf(b.window) &&
  a.resetAtMinute === b.resetAtMinute &&
  a.timezone === b.timezone

/** The cap for life, in nano-dollars; null where there is none. */
export function lifeLimit(budgets: readonly Budget[]): number | null {
  const limits = budgets.filter(({ window }) => window === null).map(({ limitNanoUsd }) => limitNanoUsd)
  return limits.length === 0 ? null : Math.min(...limits)
}
