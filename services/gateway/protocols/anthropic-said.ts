import { get, isObject, text } from './json.ts'

/** A message that is put together from the blocks of a stream; a call's input stays the text that it came as. */
type Draft = { role: 'assistant'; content: Record<string, unknown>[] }

/** More blocks than an answer has; what says so is broken or hostile. */
const maxBlocks = 10_000

export function beginBlock(said: unknown[], index: unknown, block: unknown): void {
  const at = placeOf(index)
  if (at === null || !isObject(block)) return
  const draft = (said[0] ?? { role: 'assistant', content: [] }) as Draft // made here and nowhere else
  said[0] = draft
  // A call's input begins as an empty object and comes in pieces of JSON.
  const streamed = isObject(get(block, 'input')) && Object.keys(get(block, 'input') as object).length === 0
  draft.content[at] = { ...(block as object), ...(streamed ? { input: '' } : {}) }
}

export function addToBlock(said: unknown[], index: unknown, delta: unknown): void {
  const at = placeOf(index)
  const block = at === null ? undefined : (said[0] as Draft | undefined)?.content[at]
  if (block === undefined) return
  const add = (key: string, piece: unknown) => {
    if (typeof piece === 'string') block[key] = (text(block[key]) ?? '') + piece
  }
  add('text', get(delta, 'text'))
  add('input', get(delta, 'partial_json'))
  add('signature', get(delta, 'signature'))
}

const placeOf = (index: unknown): number | null =>
  typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < maxBlocks ? index : null
