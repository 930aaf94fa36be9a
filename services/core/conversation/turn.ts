/**
 * One turn of a conversation as any protocol shows it: a message, or an item where a protocol has items. Instructions
 * (system, developer) are no turns: clients change them between steps, with the date or the tools at hand.
 */
export type Turn = {
  /** Whether the model said it. */
  readonly said: boolean
  /** Ids that were made by whoever answered: of calls, items, signatures. They tie a turn to its conversation. */
  readonly ids: readonly string[]
  /** The words of whoever spoke, without what was thought and without white space: clients join, split and trim. */
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

/** A short text for a text: the same for the same, another for another. */
export type Digest = (text: string) => string

/** A request's turns, read on demand and once: what it adds is at its end, and most of it has been read before. */
export type History = {
  readonly length: number
  turn(at: number): Turn
  /** The ids of a turn, which is read for them only where it can have any. */
  idsAt(at: number): readonly string[]
  /** The digest of one turn's text. */
  hashAt(at: number, digest: Digest): string
  /** A number for a turn as it is written, from a bounded look at it: two that differ have two, but for a rare chance. */
  glance(at: number): number
  /** The digests of the first `length` turns, chained. */
  chain(length: number, digest: Digest): string
}

/** `mayHaveIds`: tells from a raw turn, with a glance, that there are none. */
export const historyOf = (
  raw: readonly unknown[],
  read: (raw: unknown) => Turn,
  mayHaveIds: (raw: unknown) => boolean = () => true,
): History => new Turns(raw, read, mayHaveIds)

class Turns implements History {
  readonly length: number
  readonly #raw: readonly unknown[]
  readonly #read: (raw: unknown) => Turn
  readonly #mayHaveIds: (raw: unknown) => boolean
  readonly #turns: (Turn | undefined)[] = []
  readonly #hashes: (string | undefined)[] = []
  readonly #chains: string[] = ['']

  constructor(raw: readonly unknown[], read: (raw: unknown) => Turn, mayHaveIds: (raw: unknown) => boolean) {
    this.length = raw.length
    this.#raw = raw
    this.#read = read
    this.#mayHaveIds = mayHaveIds
  }

  turn(at: number): Turn {
    let turn = this.#turns[at]
    if (turn === undefined) {
      turn = this.#read(this.#raw[at])
      this.#turns[at] = turn
    }
    return turn
  }

  idsAt(at: number): readonly string[] {
    return this.#mayHaveIds(this.#raw[at]) ? this.turn(at).ids : []
  }

  hashAt(at: number, digest: Digest): string {
    let hash = this.#hashes[at]
    if (hash === undefined) {
      hash = digest(this.turn(at).text)
      this.#hashes[at] = hash
    }
    return hash
  }

  glance(at: number): number {
    return glanceAt(this.#raw[at])
  }

  chain(length: number, digest: Digest): string {
    for (let at = this.#chains.length - 1; at < length; at++)
      this.#chains.push(chained(this.#chains[at] ?? '', this.hashAt(at, digest), digest))
    return this.#chains[length] ?? ''
  }
}

/** The chain of digests with one more; of one alone it is that one. */
export const chained = (behind: string, hash: string, digest: Digest): string =>
  behind === '' ? hash : digest(behind + hash)

/** Parts of a turn that a glance sees, and characters of a text at its beginning, its end and in between. */
const seen = { parts: 256, characters: 32 }

function glanceAt(raw: unknown): number {
  let hash = 17
  let parts = 0
  const mix = (n: number): void => {
    hash = (Math.imul(hash, 31) + n) | 0
  }
  const look = (value: unknown): void => {
    if (++parts > seen.parts) return
    if (typeof value === 'string') {
      const { length } = value
      mix(length)
      const step = Math.max(1, Math.floor(length / seen.characters))
      for (let at = 0; at < length; at += step) mix(value.charCodeAt(at))
      for (let at = Math.max(0, length - seen.characters); at < length; at++) mix(value.charCodeAt(at))
    } else if (typeof value === 'number') mix(value)
    else if (Array.isArray(value)) {
      mix(value.length)
      for (const item of value) look(item)
    } else if (typeof value === 'object' && value !== null)
      for (const [key, member] of Object.entries(value)) {
        mix(key.length)
        look(member)
      }
    else mix(value === true ? 2 : 3)
  }
  look(raw)
  return hash
}

export const folded = (text: string): string => text.replace(/\s+/g, '')

/** Whether a result says nothing: no text, an empty list or object, null. */
export const isEmptyResult = (content: string): boolean =>
  /^\s*(|""|null|\[\s*\]|\{\s*\}|\{\s*"[^"]*"\s*:\s*(null|""|\[\s*\]|\{\s*\})\s*\})\s*$/.test(content)
