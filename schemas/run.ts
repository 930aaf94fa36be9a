import { z } from 'zod'
import { work } from './work.ts'

/** A run was seen for the first time. */
export const runStarted = work.extend({ type: z.literal('run.started'), limit_nano_usd: z.number().int().optional() })

/** A run changed state; `reason` is a code or the rule's name, `actor` who asked. */
export const runChanged = work.extend({
  type: z.enum(['run.paused', 'run.resumed', 'run.killed', 'run.finished', 'run.expired']),
  reason: z.string().optional(),
  actor: z.string().optional(),
})
export type RunStarted = z.infer<typeof runStarted>
export type RunChanged = z.infer<typeof runChanged>
