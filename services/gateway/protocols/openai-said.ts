import { get, isObject, list, text } from './json.ts'

/** A message that is put together from the deltas of a stream, in the shape of a whole one. */
type Draft = { role: 'assistant'; content: string | null; tool_calls?: DraftCall[] }
type DraftCall = { id?: string; type: string; function: { name: string; arguments: string } }

/** More calls than a model makes in one answer; what says so is broken or hostile. */
const maxCalls = 1_000

/** Adds a choice's delta to the message under way; only the first choice is a conversation that can go on. */
export function addChatDelta(said: unknown[], choice: unknown): void {
  const delta = get(choice, 'delta')
  if (!isObject(delta) || (get(choice, 'index') ?? 0) !== 0) return
  const first = said[0] as Draft | undefined // made below and nowhere else
  const draft: Draft = first ?? { role: 'assistant', content: null }
  if (first === undefined) said.push(draft)
  const content = get(delta, 'content')
  const words =
    typeof content === 'string'
      ? content
      : list(content)
          .map(part => get(part, 'text'))
          .filter(part => typeof part === 'string')
          .join('')
  if (words !== '') draft.content = (draft.content ?? '') + words
  for (const piece of list(get(delta, 'tool_calls'))) addCall(draft, piece)
}

/** Pieces belong together by their index; who leaves it out sends whole calls, each with an id of its own. */
function addCall(draft: Draft, piece: unknown): void {
  draft.tool_calls ??= []
  const calls = draft.tool_calls
  const id = text(get(piece, 'id'))
  const index = get(piece, 'index')
  const known = id === null ? -1 : calls.findIndex(call => call.id === id)
  const at =
    typeof index === 'number' ? index : known >= 0 ? known : id === null ? Math.max(0, calls.length - 1) : calls.length
  if (!Number.isInteger(at) || at < 0 || at >= maxCalls) return
  const made = get(piece, 'function') ?? get(piece, 'custom')
  const call = calls[at] ?? { type: 'function', function: { name: '', arguments: '' } }
  calls[at] = call
  if (id !== null) call.id = id
  call.function.name ||= text(get(made, 'name')) ?? ''
  const args = get(made, 'arguments') ?? get(made, 'input')
  if (typeof args === 'string') call.function.arguments += args
  else if (isObject(args)) call.function.arguments = JSON.stringify(args)
}
