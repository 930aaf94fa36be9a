import { get, isObject, text } from './json.ts'

/** A message that is put together from the pieces of a stream, in the shape of a whole one. */
type Draft = { role: 'assistant'; content: Record<string, unknown>[]; tool_calls: DraftCall[] }
type DraftCall = { id: string | null; type: 'function'; function: { name: string; arguments: string } }

/** More parts or calls than an answer has; what says so is broken or hostile. */
const maxParts = 10_000

export function addToMessage(said: unknown[], index: unknown, piece: unknown): void {
  const draft = (said[0] ?? { role: 'assistant', content: [], tool_calls: [] }) as Draft // made here and nowhere else
  said[0] = draft
  // A tool plan has no index: what leads to a call is no part of what was said.
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= maxParts) return
  const content = get(piece, 'content')
  const call = get(piece, 'tool_calls')
  if (isObject(content)) {
    const part = draft.content[index] ?? { type: text(get(content, 'type')) ?? 'text' }
    draft.content[index] = part
    for (const key of ['text', 'thinking']) {
      const words = get(content, key)
      if (typeof words === 'string') part[key] = (text(part[key]) ?? '') + words
    }
  }
  if (isObject(call)) addCall(draft, index, call)
}

function addCall(draft: Draft, index: number, piece: unknown): void {
  const made = get(piece, 'function')
  const call = draft.tool_calls[index] ?? { id: null, type: 'function', function: { name: '', arguments: '' } }
  draft.tool_calls[index] = call
  call.id ??= text(get(piece, 'id'))
  call.function.name ||= text(get(made, 'name')) ?? ''
  const args = get(made, 'arguments')
  if (typeof args === 'string') call.function.arguments += args
}
