import { z } from 'zod'
import { work } from './work.ts'

const count = z.number().int().nonnegative()

/** A budget after it was read (`budget.ts` gives this shape), as it stands in facts. */
const budgetTold = z.object({
  limitNanoUsd: count,
  window: z.object({ months: count, days: count, ms: count }).nullable(),
  resetAtMinute: count,
  timezone: z.string(),
  alertAt: z.array(z.number()),
})

/** What a run may do by its own terms; what is left out is the policy's to say. */
export const runLimits = z.object({
  budgets: z.array(budgetTold).max(20).optional(),
  max_steps: count.optional(),
  max_depth: count.optional(),
  max_children: count.optional(),
  max_duration_ms: count.optional(),
})
export type RunLimitsTold = z.infer<typeof runLimits>

/** What whoever hears of a run late has to know of it. */
const standing = z.object({
  limits: runLimits.optional(),
  /** Rises with each change of its limits. */
  limits_version: count.optional(),
  /** Unix milliseconds of its first call, or of its opening. */
  started_at: count.optional(),
  /** Runs that it has spawned itself. */
  children: count.optional(),
})

/** A run was seen for the first time, or opened by request. `limit_nano_usd`: its cap for life, where it has one. */
export const runStarted = work.extend({
  type: z.literal('run.started'),
  limit_nano_usd: count.optional(),
  data: standing.optional(),
})

/**
 * A run goes on. Says again from time to time what its start said, so that a gateway which starts late and reads no further
 * back than runs may be idle knows the limits of each live run, and of those above it.
 */
export const runContinued = runStarted.extend({ type: z.literal('run.continued') })

/**
 * A run changed state; `reason` is a code or the rule's name, `actor` who asked: `admin`, `agent:<name>`, or the gateway
 * itself. A resume may have raised its limits.
 */
export const runChanged = work.extend({
  type: z.enum(['run.paused', 'run.resumed', 'run.killed', 'run.finished', 'run.expired']),
  reason: z.string().optional(),
  actor: z.string().optional(),
  limit_nano_usd: count.optional(),
  data: standing.optional(),
})

/** Somebody has stopped or raised more than a run: an agent, a team, a model, all. Its work is nobody's. */
export const scopeChanged = work.extend({
  type: z.enum(['scope.paused', 'scope.resumed', 'scope.killed']),
  scope: z.string(),
  reason: z.string().optional(),
  actor: z.string(),
})

/** A gateway has obeyed a kill: `latency_ms` from its decision until the last of its calls here was ended. */
export const killObserved = work.extend({
  type: z.literal('kill.observed'),
  scope: z.string(),
  evidence: z.array(z.string()),
  latency_ms: z.number().nonnegative(),
  data: z.object({ calls: count }),
})
export type RunStarted = z.infer<typeof runStarted>
export type RunContinued = z.infer<typeof runContinued>
export type RunChanged = z.infer<typeof runChanged>
export type ScopeChanged = z.infer<typeof scopeChanged>
export type KillObserved = z.infer<typeof killObserved>
