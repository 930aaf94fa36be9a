import type { ToolResult, Turn } from '../../core/conversation/turn.ts'
import { canonical } from '../../core/wire/canonical.ts'
import { messageMayHaveIds, messagesTurn } from './anthropic-turns.ts'
import { get, isObject, list, text } from './json.ts'
import { messageMayHaveIds as chatMayHaveIds, chatTurn } from './openai-turns.ts'
import { callOf, signature, turnOf, withoutInstructions } from './turns.ts'

export const converseHistory = (body: unknown): readonly unknown[] => list(get(body, 'messages'))

export function converseTurn(message: unknown): Turn {
  // A mark of where the cache ends stands as a block of its own, and moves on with the conversation.
  const blocks = list(get(message, 'content')).filter(
    block => isObject(block) && get(block, 'cachePoint') === undefined,
  )
  const said = get(message, 'role') === 'assistant'
  return turnOf(
    { role: get(message, 'role'), content: blocks },
    {
      said,
      ids: said ? blocks.map(reasoningId) : [],
      words: said ? blocks.map(block => get(block, 'text')) : [],
      calls: blocks.flatMap(callIn),
      results: blocks.flatMap(resultIn),
    },
  )
}

/** Words alone have none. */
export const conversedMayHaveIds = (message: unknown): boolean =>
  list(get(message, 'content')).some(block => get(block, 'text') === undefined)

/** Models that are invoked have messages of their own: Anthropic's, Converse's (Nova) or chat's. */
export const invokeHistory = (body: unknown): readonly unknown[] => withoutInstructions(list(get(body, 'messages')))

export function invokeTurn(message: unknown): Turn {
  if (get(message, 'role') === 'tool' || Array.isArray(get(message, 'tool_calls'))) return chatTurn(message)
  const blocks = list(get(message, 'content'))
  const typed = blocks.length === 0 || blocks.some(block => text(get(block, 'type')) !== null)
  return typed ? messagesTurn(message) : converseTurn(message)
}

export const invokedMayHaveIds = (message: unknown): boolean => chatMayHaveIds(message) || messageMayHaveIds(message)

function reasoningId(block: unknown): string | null {
  const reasoning = get(block, 'reasoningContent')
  return signature(get(get(reasoning, 'reasoningText'), 'signature') ?? get(reasoning, 'redactedContent'))
}

function callIn(block: unknown) {
  const call = get(block, 'toolUse')
  const by = get(call, 'type') === 'server_tool_use' ? 'provider' : 'client'
  return callOf(get(call, 'toolUseId'), get(call, 'name'), get(call, 'input'), by)
}

function resultIn(block: unknown): readonly ToolResult[] {
  const result = get(block, 'toolResult')
  if (!isObject(result)) return []
  const id = text(get(result, 'toolUseId'))
  const content = list(get(result, 'content')).map(readable).join('\n')
  return [{ id, name: null, content, isError: get(result, 'status') === 'error' }]
}

/** A text, or JSON; pictures and documents as they came. */
function readable(part: unknown): string {
  const words = get(part, 'text')
  return typeof words === 'string' ? words : canonical(get(part, 'json') ?? part)
}
