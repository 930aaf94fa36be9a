import { z } from 'zod'
import { ending } from './llm.ts'
import { protocolName, work } from './work.ts'

/** Where the fact was seen: at a door of ours, in a conversation, or told by the agent. */
export const observed = z.enum(['gateway', 'conversation', 'reported'])

/** Whoever reported it has its own id for it, under which it is taken once. */
export const toldBy = z.object({ reported_id: z.string() })

const toolCall = work.extend({
  operation: z.literal('execute_tool'),
  protocol: protocolName.optional(),
  server: z.string().optional(),
  tool: z.string(),
  tool_call_id: z.string().optional(),
  observed,
  args: z.string().optional(),
  args_hash: z.string().optional(),
  data: toldBy.optional(),
})

/** A model asked for a tool, or a tool door was knocked at. */
export const toolCalled = toolCall.extend({ type: z.literal('tool.called') })
/** A tool call ended; its one row in `calls`. `unanswered`: no result before the run ended. */
export const toolReturned = toolCall.extend(ending.shape).extend({ type: z.literal('tool.returned') })
export type ToolCalled = z.infer<typeof toolCalled>
export type ToolReturned = z.infer<typeof toolReturned>
