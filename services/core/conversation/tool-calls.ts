import type { ToolCall, ToolResult } from './turn.ts'
import { isUnlikely } from './unlikely.ts'

/** A tool call that a model asked for and whose result has not been seen. `at`: Unix milliseconds. */
export type OpenCall<About> = ToolCall & { readonly at: number; readonly about: About }

/**
 * The tool calls of one run. A call is told once, however often its turn is sent back, and so is its result: by retries,
 * by branches, in every later request. Mutable, because it is asked for each turn of each request. Most runs have none:
 * nothing is kept before the first.
 */
export class ToolCalls<About> {
  /** In the order in which they were asked for. */
  #calls: Map<number, OpenCall<About>> | null = null
  /** Ids of calls that were told, open or not, as far as an id can tell two calls apart: `call_0` cannot. */
  #told: Set<string> | null = null
  #count = 0

  /** False where this call was told before. */
  call(call: ToolCall, at: number, about: About): boolean {
    if (call.id !== null && isUnlikely(call.id)) {
      if (this.#told?.has(call.id) === true) return false
      this.#tell(call.id)
    }
    this.#calls ??= new Map()
    if (this.#calls.size < limits.open) this.#calls.set(this.#count++, { ...call, at, about })
    return true
  }

  /** The open call that a result answers: by its id, or the first of its name where the protocol has no ids. */
  answer(result: ToolResult): OpenCall<About> | null {
    if (this.#calls === null) return null
    for (const [key, call] of this.#calls) {
      const named = result.name === null || call.name === result.name
      // A call without an id may be answered with one that the client made up, never with that of another call.
      const fits =
        call.id === null ? named && (result.id === null || this.#told?.has(result.id) !== true) : call.id === result.id
      if (!fits) continue
      this.#calls.delete(key)
      return call
    }
    return null
  }

  /** Its word could not be kept: it may be told again. */
  forget(id: string | null, name: string): void {
    this.answer({ id, name, content: '', isError: false })
    if (id !== null) this.#told?.delete(id)
  }

  /** All that is still open is given up. */
  abandon(): readonly OpenCall<About>[] {
    const open = [...(this.#calls?.values() ?? [])]
    this.#calls = null
    return open
  }

  get open(): number {
    return this.#calls?.size ?? 0
  }

  #tell(id: string): void {
    this.#told ??= new Set()
    this.#told.add(id)
    if (this.#told.size <= limits.told) return
    const [oldest] = this.#told
    if (oldest !== undefined) this.#told.delete(oldest)
  }
}

/** A run of thousands of steps keeps its whole memory; a hostile one costs a megabyte. */
const limits = { open: 2_000, told: 10_000 }
