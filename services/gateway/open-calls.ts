/**
 * The calls that were let through and have not ended, by where their admission stands in the log. The oldest of them is
 * how far back a next life of this gateway has to read.
 */
export type OpenCalls = {
  begin(offset: number): void
  end(offset: number): void
  /** The provider goes on with it in the background: whoever brings its end knows its request's id. */
  hold(requestId: string, offset: number): void
  /** Once: whoever brings its end says so when that is told. Null where it is not held here. */
  release(requestId: string): number | null
  /** The offset of the oldest open admission; null where none is open. */
  oldest(): number | null
  readonly count: () => number
}

export function openCalls(): OpenCalls {
  // A Set keeps the order of insertion, which is the order of offsets.
  const offsets = new Set<number>()
  const held = new Map<string, number>()
  return {
    begin: offset => void offsets.add(offset),
    end: offset => void offsets.delete(offset),
    hold: (requestId, offset) => void held.set(requestId, offset),
    release(requestId) {
      const offset = held.get(requestId) ?? null
      held.delete(requestId)
      return offset
    },
    oldest: () => offsets.values().next().value ?? null,
    count: () => offsets.size,
  }
}
