import type { Armed } from './rule.ts'

/**
 * Sums over the last while. Time is cut into slots of a twelfth of the window, so what is looked at is between eleven
 * twelfths and all of it, and a scope costs twelve slots whatever its rate. Time is that of events: a late one counts as if
 * it came now, one later than the window not at all; so clocks of gateways must be nearer to each other than that.
 */
export type Recent = {
  /** Number and sums of each slot in which something was heard, the oldest first; in one list, for there are many scopes. */
  readonly slots: number[]
  /** Of all these slots together. */
  readonly sums: number[]
}

/** What a rule with a window knows. */
export type Windowed = Armed & { windowMs: number; recent: Recent; readonly ids: string[] }

const slotsPerWindow = 12

export const nothingRecent = (): Recent => ({ slots: [], sums: [] })

/** Slots are numbered from the epoch: under another window they mean nothing. */
export function windowed(known: Windowed | null, windowMs: number): Windowed {
  if (known === null) return { peak: 0, windowMs, recent: nothingRecent(), ids: [] }
  if (known.windowMs !== windowMs) {
    known.windowMs = windowMs
    known.recent = nothingRecent()
  }
  return known
}

/** @param more as many as each time before */
export function addRecent({ slots, sums }: Recent, time: number, windowMs: number, more: readonly number[]): void {
  const n = Math.floor((time * slotsPerWindow) / windowMs)
  const width = 1 + more.length
  const latest = slots[slots.length - width] ?? Number.NEGATIVE_INFINITY
  if (n <= latest - slotsPerWindow) return
  if (n > latest) begin(slots, sums, n, width)
  const now = slots.length - more.length
  for (const [i, value] of more.entries()) {
    slots[now + i] = (slots[now + i] ?? 0) + value
    sums[i] = (sums[i] ?? 0) + value
  }
}

/** A slot begins, and those that are too old are gone. */
function begin(slots: number[], sums: number[], n: number, width: number): void {
  let gone = 0
  while (gone < slots.length && (slots[gone] ?? 0) <= n - slotsPerWindow) gone += width
  if (gone > 0) slots.splice(0, gone)
  for (let i = 0; i < width - 1; i++) {
    let sum = 0
    for (let at = 1 + i; at < slots.length; at += width) sum += slots[at] ?? 0
    sums[i] = sum
  }
  for (let i = 0; i < width; i++) slots.push(i === 0 ? n : 0)
}

export const sumOf = ({ sums }: Recent, i: number): number => sums[i] ?? 0
