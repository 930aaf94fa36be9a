import type { Event } from '../../schemas/events.ts'
import type { LlmCompleted } from '../../schemas/llm.ts'

/** What the log says of calls, in the order in which they ended. */
export const callsOf = (events: readonly Event[]): readonly (Event & LlmCompleted)[] =>
  events.filter((event): event is Event & LlmCompleted => event.type === 'llm.completed')

export const runsOf = (events: readonly Event[]): ReadonlySet<string> =>
  new Set(callsOf(events).map(call => call.run_id))

/** Each tool call and each result: what happened, the tool, and what was said. */
export const toolsOf = (events: readonly Event[]): readonly (readonly unknown[])[] =>
  events.flatMap(event => {
    if (event.type === 'tool.called') return [[event.type, event.tool, event.args]]
    return event.type === 'tool.returned' ? [[event.type, event.tool, event.result ?? event.outcome]] : []
  })
