import { z } from 'zod'

/** Alerts for consumers outside: CloudEvents on `sluice.alerts`. */
export const alertType = z.enum([
  'budget.threshold',
  'budget.exceeded',
  'run.paused',
  'run.killed',
  'loop.detected',
  'errors.rate',
  /** A rule of another kind has spoken: `rule` says which. */
  'breaker.opened',
  'guardrail.hit',
  'events.lost',
])

export const alert = z.object({
  type: alertType,
  scope: z.string(),
  run_id: z.string().optional(),
  agent: z.string().optional(),
  rule: z.string().optional(),
  action: z.string().optional(),
  mode: z.enum(['enforce', 'shadow']).optional(),
  evidence: z.array(z.string()).optional(),
  policy_version: z.string().optional(),
  data: z.record(z.string(), z.unknown()).optional(),
})
export type Alert = z.infer<typeof alert>
