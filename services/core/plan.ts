/** A target that can serve a call: anything with a weight. */
export type Weighted = { readonly weight: number }

/**
 * The order in which targets are tried: one drawn by weight, the other weighted ones by falling weight, then the
 * fallbacks as they are listed. Open circuits go to the end of the line, never out of it.
 *
 * @param draw a number in [0, 1)
 */
export function orderOfTargets<T extends Weighted>(
  targets: readonly T[],
  fallback: readonly T[],
  draw: number,
  open: (target: T) => boolean,
): readonly T[] {
  if (targets.length === 1 && fallback.length === 0) return targets
  const well = targets.filter(target => !open(target))
  const first = drawn(well.length > 0 ? well : targets, draw)
  const others = targets.filter(target => target !== first).sort((a, b) => b.weight - a.weight)
  const line = first === undefined ? [...others, ...fallback] : [first, ...others, ...fallback]
  return [...line.filter(target => !open(target)), ...line.filter(open)]
}

function drawn<T extends Weighted>(targets: readonly T[], draw: number): T | undefined {
  const total = targets.reduce((sum, target) => sum + target.weight, 0)
  let left = draw * total
  for (const target of targets) {
    left -= target.weight
    if (left < 0) return target
  }
  return targets[0]
}

export type Retry = { readonly attempts: number; readonly baseMs: number; readonly maxMs: number }

/**
 * How long to wait before try `n` + 1 (n ≥ 1): exponential with full jitter, but never shorter than the upstream asked.
 *
 * @param draw a number in [0, 1)
 * @param askedMs what `retry-after` said, or null
 */
export function backoffMs(retry: Retry, n: number, draw: number, askedMs: number | null): number {
  const ceiling = Math.min(retry.baseMs * 2 ** (n - 1), retry.maxMs)
  const jittered = Math.round(ceiling * (0.5 + draw / 2))
  return askedMs === null ? jittered : Math.max(jittered, askedMs)
}

/** `retry-after-ms`, else `retry-after` as seconds or as an HTTP date; null where neither is there or readable. */
export function retryAfterMs(milliseconds: string | null, secondsOrDate: string | null, now: number): number | null {
  const ms = number(milliseconds)
  if (ms !== null) return ms
  const seconds = number(secondsOrDate)
  if (seconds !== null) return seconds * 1000
  // `Date.parse` takes a lone number for a year; an HTTP date has names in it.
  const date = secondsOrDate === null || !/[a-z]{3}/i.test(secondsOrDate) ? Number.NaN : Date.parse(secondsOrDate)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

const number = (text: string | null): number | null => {
  const value = text === null || text.trim() === '' ? Number.NaN : Number(text)
  return Number.isFinite(value) && value >= 0 ? value : null
}
