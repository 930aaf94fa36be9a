/**
 * One turn of a conversation as any protocol shows it: a message, or an item where a protocol has items. Instructions
 * (system, developer) are no turns: clients change them between steps, with the date or the tools at hand.
 */
export type Turn = {
  /** Whether the model said it. */
  readonly said: boolean
  /** Ids that were made by whoever answered: of calls, items, signatures. They tie a turn to its conversation. */
  readonly ids: readonly string[]
  /** The words, without what was thought and without white space: clients join, split and trim. */
  readonly words: string
  readonly calls: readonly ToolCall[]
  readonly results: readonly ToolResult[]
  /** The whole turn in one spelling, without what comes and goes. */
  readonly text: string
}

/** `by`: who runs it. A provider's own tool has its result in the same answer, where it tells one. */
export type ToolCall = {
  readonly id: string | null
  readonly name: string
  /** Canonical JSON. */
  readonly args: string
  readonly by: 'client' | 'provider'
}

export type ToolResult = {
  readonly id: string | null
  readonly name: string | null
  /** As the model reads it: a text, or canonical JSON. */
  readonly content: string
  readonly isError: boolean
}

/** Turns read on demand and once: what a request adds is at its end, and most of it has been read before. */
export type History = { readonly length: number; readonly turn: (at: number) => Turn }

export function historyOf(raw: readonly unknown[], read: (raw: unknown) => Turn): History {
  const turns: (Turn | undefined)[] = []
  return {
    length: raw.length,
    turn(at) {
      let turn = turns[at]
      if (turn === undefined) {
        turn = read(raw[at])
        turns[at] = turn
      }
      return turn
    },
  }
}

export const folded = (text: string): string => text.replace(/\s+/g, '')

/** Whether a result says nothing: no text, an empty list or object, null. */
export const isEmptyResult = (content: string): boolean =>
  /^\s*(|""|null|\[\s*\]|\{\s*\}|\{\s*"[^"]*"\s*:\s*(null|""|\[\s*\]|\{\s*\})\s*\})\s*$/.test(content)
