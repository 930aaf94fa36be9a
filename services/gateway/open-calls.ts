/**
 * The calls that were let through and have not ended, by where their admission stands in the log. The oldest of them is
 * how far back a next life of this gateway has to read.
 */
export type OpenCalls = {
  begin(requestId: string, offset: number): void
  end(requestId: string): void
  /** The offset of the oldest open admission; null where none is open. */
  oldest(): number | null
  readonly count: () => number
}

export function openCalls(): OpenCalls {
  // A Map keeps the order of insertion, which is the order of offsets.
  const offsets = new Map<string, number>()
  return {
    begin: (requestId, offset) => void offsets.set(requestId, offset),
    end: requestId => void offsets.delete(requestId),
    oldest: () => offsets.values().next().value ?? null,
    count: () => offsets.size,
  }
}
