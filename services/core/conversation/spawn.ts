import type { History, ToolCall } from './turn.ts'
import { folded } from './turn.ts'

/**
 * Which run began another one, read from the traffic: a run whose first words stand in the arguments of a tool call that
 * another run of the same key has open was begun by that call. It is a guess, and is said to be one.
 */
export type Spawner = { readonly runId: string; readonly args: string }

/** Open calls looked at: a parent waits for its child, so its call is among the latest. */
const lookedAt = 32
/** Shorter words stand in many arguments. */
const leastWords = 24

/** The latest calls of one scope, the newest last. */
export function withCalls(spawners: readonly Spawner[], runId: string, calls: readonly ToolCall[]): readonly Spawner[] {
  const asked = calls.filter(call => call.by === 'client').map(call => ({ runId, args: folded(call.args) }))
  return asked.length === 0
    ? spawners
    : [...spawners, ...asked.filter(call => call.args.length >= leastWords)].slice(-lookedAt)
}

/** Null where nothing suggests a parent. `isOpen`: whether that run still waits for a call. */
export function spawnerOf(
  spawners: readonly Spawner[],
  history: History,
  isOpen: (runId: string) => boolean,
): string | null {
  if (spawners.length === 0 || history.length === 0) return null
  const words = history.turn(0).words
  if (words.length < leastWords) return null
  // As it stands inside a text of JSON.
  const quoted = JSON.stringify(words).slice(1, -1)
  const found = spawners.findLast(spawner => spawner.args.includes(quoted) && isOpen(spawner.runId))
  return found?.runId ?? null
}
