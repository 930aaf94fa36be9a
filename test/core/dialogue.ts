import { hash } from 'node:crypto'
import type { Knot, Knots } from '../../services/core/conversation/thread.ts'
import {
  type History,
  historyOf,
  type ToolCall,
  type ToolResult,
  type Turn,
} from '../../services/core/conversation/turn.ts'
import { messagesHistory, messagesTurn } from '../../services/gateway/protocols/anthropic-turns.ts'
import { converseHistory, converseTurn } from '../../services/gateway/protocols/bedrock-turns.ts'
import { chatHistory, chatTurn } from '../../services/gateway/protocols/openai-turns.ts'

/** Conversations made up for tests, in the shapes of protocols, so that their readers take part. */

export const digest = (text: string): string => hash('sha1', text, 'base64url').slice(0, 16)

/** As the gateway keeps them, without a bound. */
export function knotsInMemory(): Knots {
  const all = new Map<string, readonly Knot[]>()
  return {
    get: key => all.get(key) ?? [],
    add: (key, knot) => void all.set(key, [...(all.get(key) ?? []), knot]),
  }
}

export type Message =
  | { readonly by: 'user'; readonly words: string }
  | { readonly by: 'model'; readonly words: string; readonly thought: string; readonly calls: readonly Asked[] }
  | { readonly by: 'tools'; readonly results: readonly { readonly id: string; readonly words: string }[] }
export type Asked = { readonly id: string; readonly name: string; readonly args: object }

/** What clients do to a conversation between two requests, without meaning anything by it. */
export type Habits = {
  readonly dropsThought: boolean
  readonly marksCache: boolean
  readonly turnsKeys: boolean
  /** A text alone instead of a list of one. */
  readonly joins: boolean
  readonly resultsBackwards: boolean
}

export const shapes = ['chat', 'anthropic', 'converse'] as const
export type Shape = (typeof shapes)[number]

export function historyIn(shape: Shape, messages: readonly Message[], habits: Habits): History {
  const raw = messages.flatMap((message, i) => written(shape, message, habits, i === messages.length - 1))
  const body = JSON.parse(JSON.stringify({ messages: habits.turnsKeys ? raw.map(turned) : raw }))
  if (shape === 'chat') return historyOf(chatHistory(body), chatTurn)
  return shape === 'anthropic'
    ? historyOf(messagesHistory(body), messagesTurn)
    : historyOf(converseHistory(body), converseTurn)
}

/** As the model answered it: nothing has been done to it yet. */
export function answerIn(shape: Shape, message: Message): readonly Turn[] {
  const history = historyIn(shape, [message], asAnswered)
  return Array.from({ length: history.length }, (_, i) => history.turn(i))
}
const asAnswered: Habits = {
  dropsThought: false,
  marksCache: false,
  turnsKeys: false,
  joins: false,
  resultsBackwards: false,
}

const turned = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(turned)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, turned(inner)]),
  )
}

function written(shape: Shape, message: Message, habits: Habits, last: boolean): readonly object[] {
  const results = (given: readonly { readonly id: string; readonly words: string }[]) =>
    habits.resultsBackwards ? given.toReversed() : given
  if (shape === 'chat') {
    if (message.by === 'user') return [{ role: 'user', content: message.words }]
    if (message.by === 'tools')
      return results(message.results).map(({ id, words }) => ({ role: 'tool', tool_call_id: id, content: words }))
    const { words, thought, calls } = message
    return [
      {
        role: 'assistant',
        content: words === '' ? null : words,
        ...(thought === '' || habits.dropsThought ? {} : { reasoning_content: thought }),
        ...(calls.length === 0
          ? {}
          : {
              tool_calls: calls.map(({ id, name, args }) => ({
                id,
                type: 'function',
                function: { name, arguments: JSON.stringify(args) },
              })),
            }),
      },
    ]
  }
  const role = message.by === 'model' ? 'assistant' : 'user'
  return [{ role, content: shape === 'anthropic' ? anthropic(message) : converse(message) }]

  function anthropic(message: Message): unknown {
    const marked = habits.marksCache && last ? { cache_control: { type: 'ephemeral' } } : {}
    if (message.by === 'user')
      return habits.joins && !habits.marksCache ? message.words : [{ type: 'text', text: message.words, ...marked }]
    if (message.by === 'tools')
      return results(message.results).map(({ id, words }) => ({
        type: 'tool_result',
        tool_use_id: id,
        content: words,
        ...marked,
      }))
    return [
      ...(message.thought === '' || habits.dropsThought ? [] : [{ type: 'thinking', thinking: message.thought }]),
      ...(message.words === '' ? [] : [{ type: 'text', text: message.words }]),
      ...message.calls.map(({ id, name, args }) => ({ type: 'tool_use', id, name, input: args })),
    ]
  }
  function converse(message: Message): unknown {
    const marked = habits.marksCache && last ? [{ cachePoint: { type: 'default' } }] : []
    if (message.by === 'user') return [{ text: message.words }, ...marked]
    if (message.by === 'tools')
      return [
        ...results(message.results).map(({ id, words }) => ({
          toolResult: { toolUseId: id, content: [{ text: words }] },
        })),
        ...marked,
      ]
    return [
      ...(message.words === '' ? [] : [{ text: message.words }]),
      ...message.calls.map(({ id, name, args }) => ({ toolUse: { toolUseId: id, name, input: args } })),
    ]
  }
}

export const callOf = (id: string | null, name: string): ToolCall => ({ id, name, args: '{}', by: 'client' })
export const resultOf = (id: string | null, name: string | null): ToolResult => ({
  id,
  name,
  content: 'x',
  isError: false,
})
