import { z } from 'zod'

/** How a request was found to belong to its run, strongest first (the ladder of identity). */
export const runSource = z.enum([
  'header',
  'token',
  'baggage',
  'peer-header',
  'traceparent',
  'session',
  'previous-response',
  'conversation',
  'inferred',
  'new',
])
export type RunSource = z.infer<typeof runSource>

export const protocolName = z.enum(['openai', 'anthropic', 'gemini', 'bedrock', 'cohere', 'mcp', 'a2a'])
export type ProtocolName = z.infer<typeof protocolName>

/**
 * Whose work an event is about. Every name is also the column in ClickHouse; a field that does not apply is left out,
 * which is not the same as empty or zero.
 */
export const work = z.object({
  org: z.string().optional(),
  team: z.string().optional(),
  agent: z.string(),
  user: z.string().optional(),
  key_id: z.string().optional(),
  session_id: z.string().optional(),
  task: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  run_id: z.string(),
  root_run_id: z.string(),
  parent_run_id: z.string().optional(),
  /** Runs above this one, root first; what rolls costs up a tree. */
  ancestors: z.array(z.string()).optional(),
  depth: z.number().int().nonnegative().optional(),
  run_source: runSource.optional(),
  /** 1 for the first model call of a run, rising by one in order of arrival. */
  step: z.number().int().positive().optional(),
  request_id: z.string().optional(),
  trace_id: z.string().optional(),
  /** W3C span id of the caller, 16 hex digits, where `traceparent` named one. */
  parent_span_id: z.string().optional(),
  /** Delegation, outermost first. */
  chain: z.array(z.string()).optional(),
  chain_verified: z.boolean().optional(),
  policy_version: z.string().optional(),
})
export type Work = z.infer<typeof work>
