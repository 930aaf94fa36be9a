/**
 * Sums over the last while. Time is cut into slots of a twelfth of the window, so what is looked at is between eleven
 * twelfths and all of it, and a scope costs thirteen slots whatever its rate. Time is that of events: a late one counts as
 * if it came now, one later than the window not at all.
 */
export type Recent = readonly Slot[]
type Slot = { readonly n: number; readonly sums: readonly number[] }

const slotsPerWindow = 12

export const nothingRecent: Recent = []

/** @param sums as many as each time before */
export function withRecent(recent: Recent, time: number, windowMs: number, sums: readonly number[]): Recent {
  const n = slotOf(time, windowMs)
  const last = recent.at(-1)
  if (last === undefined || n > last.n) return [...recent.filter(slot => slot.n > n - slotsPerWindow), { n, sums }]
  if (n <= last.n - slotsPerWindow) return recent
  return [...recent.slice(0, -1), { n: last.n, sums: last.sums.map((sum, i) => sum + (sums[i] ?? 0)) }]
}

export const sumOf = (recent: Recent, i: number): number => recent.reduce((all, { sums }) => all + (sums[i] ?? 0), 0)

/** Slots are numbered from the epoch; under another window they mean nothing. */
const slotOf = (time: number, windowMs: number): number => Math.floor((time * slotsPerWindow) / windowMs)
