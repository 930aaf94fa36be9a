import type { Continued } from '../../../schemas/events.ts'

/** What has to be told again of a call that stays open for long. */
export type OpenCall = {
  readonly requestId: string
  readonly rootRunId: string
  readonly admission: Continued
  /** When it was let in, milliseconds of the monotonic clock. */
  readonly since: number
}

/**
 * The calls that were let through and have not ended, by where their admission stands in the log. Where the oldest of them
 * was last told is how far back a next life of this gateway has to read.
 */
export type OpenCalls = {
  begin(offset: number, call: OpenCall): void
  end(offset: number): void
  /** The provider goes on with it in the background: whoever brings its end knows its request's id. */
  hold(requestId: string, offset: number): void
  /** Once: whoever brings its end says so when that is told. Null where it is not held here. */
  release(requestId: string): number | null
  /** Those that were told for the last time before this offset. */
  toldBefore(offset: number): readonly { readonly offset: number; readonly call: OpenCall; readonly isHeld: boolean }[]
  /** The call of this admission was told again, there. */
  toldAgain(offset: number, at: number): void
  /** The offset at which the oldest open admission was last told; null where none is open. */
  oldest(): number | null
  readonly count: () => number
}

export function openCalls(): OpenCalls {
  // A Map keeps the order of insertion, which is that of the offsets at which they were told.
  const calls = new Map<number, OpenCall>()
  const again = new Map<number, number>()
  const held = new Map<string, number>()
  return {
    begin: (offset, call) => void calls.set(offset, call),
    end(offset) {
      calls.delete(offset)
      if (again.size > 0) again.delete(offset)
    },
    hold: (requestId, offset) => void held.set(requestId, offset),
    release(requestId) {
      const offset = held.get(requestId) ?? null
      held.delete(requestId)
      return offset
    },
    toldBefore(limit) {
      const found = []
      for (const [offset, call] of calls) {
        if ((again.get(offset) ?? offset) >= limit) break
        found.push({ offset, call, isHeld: held.get(call.requestId) === offset })
      }
      return found
    },
    toldAgain(offset, at) {
      const call = calls.get(offset)
      if (call === undefined) return
      calls.delete(offset)
      calls.set(offset, call)
      again.set(offset, at)
    },
    oldest() {
      const [first] = calls.keys()
      return first === undefined ? null : (again.get(first) ?? first)
    },
    count: () => calls.size,
  }
}
