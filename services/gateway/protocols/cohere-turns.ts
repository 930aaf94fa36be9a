import type { Turn } from '../../core/conversation/turn.ts'
import { canonical } from '../../core/wire/canonical.ts'
import { get, isObject, list, text } from './json.ts'
import { callOf, contentOf, turnOf, withoutInstructions, wordsOf } from './turns.ts'

/** The messages without instructions. */
export const chatHistory = (body: unknown): readonly unknown[] => withoutInstructions(list(get(body, 'messages')))

/** A tool plan is thought rather than said: clients send it back or leave it out. */
export function chatTurn(message: unknown): Turn {
  const role = get(message, 'role')
  const said = role === 'assistant'
  const content = get(message, 'content')
  const result = {
    id: text(get(message, 'tool_call_id')),
    name: null,
    content: Array.isArray(content) ? content.map(readable).join('\n') : contentOf(content),
    isError: false,
  }
  return turnOf(message, {
    said,
    words: said ? wordsOf(content) : [],
    calls: list(get(message, 'tool_calls')).flatMap(call =>
      callOf(get(call, 'id'), get(get(call, 'function'), 'name'), get(get(call, 'function'), 'arguments')),
    ),
    results: role === 'tool' ? [result] : [],
  })
}

/** A tool's result may be a document: its data is what the model reads. */
function readable(part: unknown): string {
  const data = get(get(part, 'document'), 'data') ?? get(part, 'text') ?? part
  return isObject(data) ? canonical(data) : String(data)
}
