import { hash } from 'node:crypto'
import type { Fact } from '../../../schemas/events.ts'
import type { ToolCalled } from '../../../schemas/tool.ts'
import type { Work } from '../../../schemas/work.ts'
import type { OpenCall, ToolCalls } from '../../core/conversation/tool-calls.ts'
import { type History, isEmptyResult, type ToolCall, type ToolResult, type Turn } from '../../core/conversation/turn.ts'

/** Tool calls as facts, read from the conversation: what a model asked for, and what came back with a later request. */

/** What all facts of one tool call have in common. */
export type ToolFields = Omit<ToolCalled, 'type'>

/** How much of arguments and results stands on the log. */
export type Payloads = { readonly capture: 'none' | 'preview' | 'full'; readonly previewBytes: number }

/** What an answer asks for: `tool.called`, and for tools that the provider ran, `tool.returned` at once. */
export function calledFacts(
  calls: ToolCalls<ToolFields>,
  answer: readonly Turn[],
  work: Work,
  at: number,
  payloads: Payloads,
): readonly Fact[] {
  const results = answer.flatMap(turn => turn.results)
  return answer.flatMap(turn =>
    turn.calls.flatMap((call): readonly Fact[] => {
      const fields = fieldsOf(call, work, payloads)
      if (!calls.call(call, at, fields)) return []
      if (call.by === 'client') return [{ type: 'tool.called', ...fields }]
      const result = results.find(result => result.id !== null && result.id === call.id) ?? null
      const open = calls.answer({ id: call.id, name: call.name, content: '', isError: false })
      return open === null ? [] : [returned(open, result, at, payloads)]
    }),
  )
}

/** What a request brings back for calls that are open, from its turn `from` on. */
export function returnedFacts(
  calls: ToolCalls<ToolFields>,
  history: History,
  from: number,
  at: number,
  payloads: Payloads,
): readonly Fact[] {
  const facts: Fact[] = []
  for (let turn = from; turn < history.length && calls.open > 0; turn++)
    for (const result of history.turn(turn).results) {
      const call = calls.answer(result)
      if (call !== null) facts.push(returned(call, result, at, payloads))
    }
  return facts
}

/** What never came back before its run ended. */
export const unansweredFacts = (calls: ToolCalls<ToolFields>, at: number): readonly Fact[] =>
  calls.abandon().map(call => ({
    type: 'tool.returned',
    ...call.about,
    outcome: 'unanswered',
    reason: 'run_ended',
    latency_ms: Math.max(0, at - call.at),
  }))

function returned(call: OpenCall<ToolFields>, result: ToolResult | null, at: number, payloads: Payloads): Fact {
  const failed = result?.isError === true
  return {
    type: 'tool.returned',
    ...call.about,
    ...(result === null ? {} : shownResult(result.content, payloads)),
    outcome: failed ? 'error' : 'success',
    ...(failed ? { error_type: 'tool_error', reason: 'tool_error' } : {}),
    latency_ms: Math.max(0, at - call.at),
  }
}

const fieldsOf = (call: ToolCall, work: Work, payloads: Payloads): ToolFields => ({
  ...work,
  operation: 'execute_tool',
  tool: call.name,
  ...(call.by === 'provider' ? { server: 'provider' } : {}),
  ...(call.id === null ? {} : { tool_call_id: call.id }),
  observed: 'conversation',
  ...shownArgs(call.args, payloads),
})

/** `args` in canonical spelling: the same arguments have the same hash. */
export const shownArgs = (args: string, payloads: Payloads) => ({
  ...shown('args', args, payloads),
  args_hash: digest(args),
})

export const shownResult = (content: string, payloads: Payloads) => ({
  ...shown('result', content, payloads),
  result_hash: digest(content),
  result_bytes: Buffer.byteLength(content),
  result_empty: isEmptyResult(content),
})

function shown<Name extends 'args' | 'result'>(name: Name, text: string, payloads: Payloads): { [K in Name]?: string } {
  if (payloads.capture === 'none') return {}
  return { [name]: payloads.capture === 'full' ? text : cut(text, payloads.previewBytes) } as { [K in Name]?: string } // one member, named so
}

/** At most so many bytes of UTF-8, and no half character. */
function cut(text: string, bytes: number): string {
  if (text.length * 3 <= bytes) return text
  const whole = Buffer.from(text)
  if (whole.length <= bytes) return text
  let end = bytes
  while (end > 0 && ((whole[end] ?? 0) & 0xc0) === 0x80) end--
  return whole.toString('utf8', 0, end)
}

const digest = (text: string): string => hash('sha256', text).slice(0, 32)
