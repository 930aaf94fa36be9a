import {
  folded,
  type History,
  historyOf,
  type ToolCall,
  type ToolResult,
  type Turn,
} from '../../core/conversation/turn.ts'
import { canonical, canonicalText } from '../../core/wire/canonical.ts'
import { get, isObject, list, text } from './json.ts'
import type { Conversation } from './protocol.ts'

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
  return new ReadTurn(raw, parts)
}

type Parts = Parameters<typeof turnOf>[1]

/** What a request's body holds of a conversation. */
export const historyIn = ({ turns, read, mayHaveIds }: Conversation, body: unknown): History =>
  historyOf(turns(body), read, mayHaveIds)

/** Most turns are only looked at for their ids: words and text are put together when somebody asks for them. */
class ReadTurn implements Turn {
  readonly said: boolean
  readonly ids: readonly string[]
  readonly calls: readonly ToolCall[]
  readonly results: readonly ToolResult[]
  readonly #raw: unknown
  #words: readonly unknown[] | string

  constructor(raw: unknown, { said, ids = none, words = none, calls = none, results = none }: Parts) {
    this.#raw = raw
    this.#words = words
    this.said = said
    this.ids = ids.length + calls.length + results.length === 0 ? none : distinct(ids, calls, results)
    this.calls = calls
    this.results = results
  }

  get words(): string {
    if (typeof this.#words !== 'string')
      this.#words = folded(this.#words.filter(word => typeof word === 'string').join(''))
    return this.#words
  }

  get text(): string {
    return canonical(this.#raw, comesAndGoes)
  }
}

const none: readonly never[] = []

type WithId = { readonly id: string | null }

function distinct(ids: readonly (string | null)[], calls: readonly WithId[], results: readonly WithId[]) {
  const all: string[] = []
  const add = (id: string | null) => id !== null && id !== '' && all.push(id)
  for (const id of ids) add(id)
  for (const call of calls) add(call.id)
  for (const result of results) add(result.id)
  return all.length < 2 ? all : [...new Set(all)]
}

/**
 * Clients change instructions between steps, so they are no turns. Asked of every message of every request: a plain loop,
 * and no copy where there is nothing to leave out behind the first turn.
 */
export function withoutInstructions(messages: readonly unknown[]): readonly unknown[] {
  let first = 0
  while (first < messages.length && isInstruction(messages[first])) first++
  let at = first
  while (at < messages.length && !isInstruction(messages[at])) at++
  const head = first === 0 && at === messages.length ? messages : messages.slice(first, at)
  return at === messages.length ? head : [...head, ...messages.slice(at).filter(message => !isInstruction(message))]
}

function isInstruction(message: unknown): boolean {
  if (typeof message !== 'object' || message === null) return false
  const { role } = message as { readonly role?: unknown } // an object can be asked for any key
  return role === 'system' || role === 'developer'
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
