import { z } from 'zod'

/**
 * What an agent tells of calls that it made outside the gateway: an item of `POST /v1/events`. `id` is the caller's own
 * and makes telling it twice the same as telling it once.
 */
const told = z.object({
  id: z.string().min(1).max(200),
  /** When it happened: RFC 3339, or Unix milliseconds. Left out: now. */
  time: z.union([z.iso.datetime({ offset: true }), z.number().int().nonnegative()]).optional(),
  run_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional(),
  parent_run_id: z
    .string()
    .regex(/^[\x21-\x7e]{1,200}$/)
    .optional(),
  task: z.string().max(500).optional(),
  user: z.string().max(500).optional(),
  session_id: z.string().max(500).optional(),
  labels: z.record(z.string().max(100), z.string().max(500)).optional(),
})

const ended = z.object({
  /** Any JSON; a text is taken as it is. */
  result: z.unknown().optional(),
  is_error: z.boolean().optional(),
  error_type: z.string().max(200).optional(),
  latency_ms: z.number().nonnegative().optional(),
})

const tool = told.extend({
  tool: z.string().min(1).max(200),
  server: z.string().max(200).optional(),
  tool_call_id: z.string().max(200).optional(),
  args: z.unknown().optional(),
})
const agent = told.extend({ peer_agent: z.string().min(1).max(200) })

export const reportedToolCalled = tool.extend({ type: z.literal('tool.called') })
export const reportedToolReturned = tool.extend(ended.shape).extend({ type: z.literal('tool.returned') })
export const reportedAgentCalled = agent.extend({ type: z.literal('agent.called') })
export const reportedAgentReturned = agent.extend(ended.shape).extend({ type: z.literal('agent.returned') })

export const reported = z.discriminatedUnion('type', [
  reportedToolCalled,
  reportedToolReturned,
  reportedAgentCalled,
  reportedAgentReturned,
])
export type Reported = z.infer<typeof reported>

/** What became of one item. `duplicate`: told before, so nothing was written. */
export type ReportResult = {
  readonly index: number
  readonly id: string | null
  readonly status: 'taken' | 'duplicate' | 'refused'
  readonly reason?: string
  readonly run_id?: string
}
