import type { Turn } from '../../core/conversation/turn.ts'
import { get, list, text } from './json.ts'
import { callOf, contentOf, signature, turnOf } from './turns.ts'

export const messagesHistory = (body: unknown): readonly unknown[] =>
  list(get(body, 'messages')).filter(message => get(message, 'role') !== 'system')

export function messagesTurn(message: unknown): Turn {
  const content = get(message, 'content')
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : list(content)
  const said = get(message, 'role') === 'assistant'
  return turnOf(
    // A text alone and a list of one text are the same.
    { role: get(message, 'role'), content: blocks },
    {
      said,
      ids: said ? blocks.map(block => signature(get(block, 'signature') ?? get(block, 'data'))) : [],
      words: blocks.filter(block => get(block, 'type') === 'text').map(block => get(block, 'text')),
      calls: blocks.flatMap(callIn),
      results: blocks.filter(block => text(get(block, 'type'))?.endsWith('tool_result')).map(resultIn),
    },
  )
}

/** Words alone have none. */
export const messageMayHaveIds = (message: unknown): boolean =>
  list(get(message, 'content')).some(block => get(block, 'type') !== 'text')

function callIn(block: unknown) {
  switch (get(block, 'type')) {
    case 'tool_use':
      return callOf(get(block, 'id'), get(block, 'name'), get(block, 'input'))
    case 'server_tool_use':
    case 'mcp_tool_use':
      return callOf(get(block, 'id'), get(block, 'name'), get(block, 'input'), 'provider')
    default:
      return []
  }
}

/** A client's `tool_result`, or a server tool's (`web_search_tool_result`, …) in the answer itself. */
const resultIn = (block: unknown) => ({
  id: text(get(block, 'tool_use_id')),
  name: null,
  content: contentOf(get(block, 'content')),
  isError: get(block, 'is_error') === true || text(get(get(block, 'content'), 'type'))?.endsWith('_error') === true,
})
