import { z } from 'zod'
import { action, mode } from './breakers.ts'

/** A rule has spoken: a line was crossed. What comes of it (a stop on control, an alert) is for whoever folds the rules. */
export const ruleSignal = z.object({
  /** A function of rule, scope and causing event: deciding again after a crash gives the same one. */
  id: z.string(),
  rule: z.string(),
  /** `run:<id>`, `agent:<name>`, `team:<name>`, `org`, `model:<name>`, `tool:<name>`, `provider:<name>`. */
  scope: z.string(),
  action,
  mode,
  /** Of a backoff: how long, in milliseconds. */
  backoff_ms: z.number().int().positive().optional(),
  /** Time of the causing event, Unix milliseconds. */
  time: z.number().int(),
  /** Of the run that is spoken of; of any other scope, the run that crossed the line. */
  run_id: z.string(),
  root_run_id: z.string(),
  parent_run_id: z.string().optional(),
  ancestors: z.array(z.string()).optional(),
  team: z.string().optional(),
  agent: z.string(),
  /** Ids of the events that show why, oldest first, the causing one last: at most 24, the newest. */
  evidence: z.array(z.string()).readonly(),
  policy_version: z.string(),
  /** What the scope has cost since it was first seen, in nano-dollars. */
  cost_nano_usd: z.number().int().nonnegative(),
  /** What the rule has to say for itself: how far it was, and of what. */
  data: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})
export type RuleSignal = z.infer<typeof ruleSignal>
