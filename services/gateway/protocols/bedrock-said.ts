import { get, isObject, list, text } from './json.ts'

/** A message that is put together from the blocks of a stream; a call's input stays the text that it came as. */
type Draft = { role: 'assistant'; content: Block[] }
type Block = {
  text?: string
  toolUse?: Record<string, unknown>
  toolResult?: Record<string, unknown>
  reasoningContent?: { reasoningText?: { text: string; signature?: string }; redactedContent?: string }
}

/** More blocks than an answer has; what says so is broken or hostile. */
const maxBlocks = 10_000

/** A block of text has no start; a call's has its name, a result's whose it is. */
export function beginBlock(said: unknown[], index: unknown, start: unknown): void {
  const block = blockAt(said, index)
  const call = get(start, 'toolUse')
  const result = get(start, 'toolResult')
  if (block === null) return
  if (isObject(call)) block.toolUse = { ...(call as object), input: '' }
  if (isObject(result)) block.toolResult = { ...(result as object), content: [] }
}

export function addToBlock(said: unknown[], index: unknown, delta: unknown): void {
  const block = blockAt(said, index)
  if (block === null) return
  const words = get(delta, 'text')
  const input = get(get(delta, 'toolUse'), 'input')
  const found = get(delta, 'toolResult')
  const reasoning = get(delta, 'reasoningContent')
  if (typeof words === 'string') block.text = (block.text ?? '') + words
  if (typeof input === 'string' && block.toolUse !== undefined)
    block.toolUse['input'] = (text(block.toolUse['input']) ?? '') + input
  if (Array.isArray(found) && block.toolResult !== undefined)
    block.toolResult['content'] = [...list(block.toolResult['content']), ...found]
  if (isObject(reasoning)) addReasoning(block, reasoning)
}

function addReasoning(block: Block, reasoning: unknown): void {
  block.reasoningContent ??= {}
  const kept = block.reasoningContent
  const redacted = text(get(reasoning, 'redactedContent'))
  const signed = text(get(reasoning, 'signature'))
  const words = text(get(reasoning, 'text'))
  if (redacted !== null) kept.redactedContent = (kept.redactedContent ?? '') + redacted
  if (signed === null && words === null) return
  kept.reasoningText ??= { text: '' }
  if (words !== null) kept.reasoningText.text += words
  if (signed !== null) kept.reasoningText.signature = (kept.reasoningText.signature ?? '') + signed
}

function blockAt(said: unknown[], index: unknown): Block | null {
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= maxBlocks) return null
  const draft = (said[0] ?? { role: 'assistant', content: [] }) as Draft // made here and nowhere else
  said[0] = draft
  const block = draft.content[index] ?? {}
  draft.content[index] = block
  return block
}
