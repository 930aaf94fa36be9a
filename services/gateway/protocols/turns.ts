import { canonical, canonicalText } from '../../core/canonical.ts'
import { folded, type ToolCall, type ToolResult, type Turn } from '../../core/turn.ts'
import { get, isObject, list, text } from './json.ts'

/** What all protocols' readers of turns have in common. */

/** Marks that clients move from turn to turn as a conversation grows, and what only some answers carry. */
const comesAndGoes: ReadonlySet<string> = new Set([
  'cache_control',
  'cachePoint',
  'status',
  'logprobs',
  'annotations',
  'index',
])

export function turnOf(
  raw: unknown,
  parts: {
    readonly said: boolean
    readonly ids?: readonly (string | null)[]
    readonly words?: readonly unknown[]
    readonly calls?: readonly ToolCall[]
    readonly results?: readonly ToolResult[]
  },
): Turn {
  const calls = parts.calls ?? []
  const results = parts.results ?? []
  const ids = [...(parts.ids ?? []), ...calls.map(call => call.id), ...results.map(result => result.id)]
  return {
    said: parts.said,
    ids: [...new Set(ids.filter((id): id is string => id !== null && id !== ''))],
    words: folded((parts.words ?? []).filter(word => typeof word === 'string').join('')),
    calls,
    results,
    text: canonical(raw, comesAndGoes),
  }
}

export const callOf = (
  id: unknown,
  name: unknown,
  args: unknown,
  by: ToolCall['by'] = 'client',
): readonly ToolCall[] =>
  typeof name === 'string' && name !== '' ? [{ id: text(id), name, args: argsOf(args), by }] : []

const argsOf = (args: unknown): string =>
  typeof args === 'string'
    ? canonicalText(args === '' ? '{}' : args)
    : args === undefined || args === null
      ? '{}'
      : canonical(args)

/** A result as the model reads it: the text where it is one or made of texts, else JSON. */
export function contentOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (content === undefined || content === null) return ''
  const parts = list(content)
  const texts = parts.map(part => (typeof part === 'string' ? part : get(part, 'text')))
  if (parts.length > 0 && texts.every(part => typeof part === 'string')) return texts.join('\n')
  return Array.isArray(content) && content.length === 0 ? '' : canonical(content)
}

/** A signature is as good as an id, whichever of the two base64 alphabets it is written in; its end tells it apart. */
export const signature = (value: unknown): string | null => {
  const signed = text(value)
  return signed === null || signed.length < 32
    ? null
    : `sig ${signed.slice(-64).replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '')}`
}

/** The words of content that is a text or a list of parts with texts. */
export const wordsOf = (content: unknown): readonly unknown[] =>
  typeof content === 'string'
    ? [content]
    : list(content).map(part => (typeof part === 'string' ? part : isObject(part) ? get(part, 'text') : null))
