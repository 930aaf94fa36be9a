import { z } from 'zod'
import { work } from './work.ts'

/** A guardrail saw something; never the matched text itself. */
export const guardrailHit = work.extend({
  type: z.literal('guardrail.hit'),
  rule: z.string(),
  on: z.enum(['llm.request', 'llm.response', 'tool.call', 'tool.result']),
  detect: z.string(),
  action: z.enum(['alert', 'redact', 'block']),
  mode: z.enum(['enforce', 'shadow']).optional(),
  count: z.number().int().positive().optional(),
})
export type GuardrailHit = z.infer<typeof guardrailHit>
