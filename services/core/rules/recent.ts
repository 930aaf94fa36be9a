/**
 * Sums over the last while. Time is cut into slots of a twelfth of the window, so what is looked at is between eleven
 * twelfths and all of it, and a scope costs twelve slots whatever its rate. Time is that of events: a late one counts as if
 * it came now, one later than the window not at all; so clocks of gateways must be nearer to each other than that.
 */
export type Recent = {
  /** The slot of now, and the sums within it. */
  readonly n: number
  readonly now: readonly number[]
  /** Slots before it that are within the window, and their sums. */
  readonly past: readonly (readonly [n: number, sums: readonly number[]])[]
  readonly before: readonly number[]
}

const slotsPerWindow = 12

export const nothingRecent: Recent = { n: 0, now: [], past: [], before: [] }

/** @param sums as many as each time before */
export function withRecent(recent: Recent, time: number, windowMs: number, sums: readonly number[]): Recent {
  // Slots are numbered from the epoch; under another window they mean nothing.
  const n = Math.floor((time * slotsPerWindow) / windowMs)
  if (n <= recent.n - slotsPerWindow) return recent
  if (n <= recent.n) return { ...recent, now: sums.map((sum, i) => sum + (recent.now[i] ?? 0)) }
  const past = [...recent.past, [recent.n, recent.now] as const].filter(([slot]) => slot > n - slotsPerWindow)
  return { n, now: sums, past, before: sums.map((_, i) => past.reduce((all, [, of]) => all + (of[i] ?? 0), 0)) }
}

export const sumOf = ({ now, before }: Recent, i: number): number => (now[i] ?? 0) + (before[i] ?? 0)
