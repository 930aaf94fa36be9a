import { z } from 'zod'
import { ending } from './llm.ts'
import { observed, toldBy } from './tool.ts'
import { protocolName, work } from './work.ts'

const agentCall = work.extend({
  operation: z.literal('invoke_agent'),
  protocol: protocolName.optional(),
  /** The agent that was called; `agent` is the one that called. */
  peer_agent: z.string(),
  observed,
  data: toldBy.optional(),
})

/** An agent handed work to another one. */
export const agentCalled = agentCall.extend({ type: z.literal('agent.called') })
/** The other agent answered; its one row in `calls`. */
export const agentReturned = agentCall.extend(ending.shape).extend({ type: z.literal('agent.returned') })
export type AgentCalled = z.infer<typeof agentCalled>
export type AgentReturned = z.infer<typeof agentReturned>
