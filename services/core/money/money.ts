/**
 * Money is an integer: nano-dollars (1e-9 US dollars) where it is kept, pico-dollars (1e-12) a token where it is counted.
 * A price of $0.02 for a million tokens is 20,000 pico-dollars a token, so every price of up to six decimals is exact.
 */

/** `count` things at `pico` pico-dollars each. */
export type Item = readonly [count: number, pico: number]

/** The sum in nano-dollars, a half rounded up (`up`: every fraction). Exact, however large the terms. */
export function nanoOf(items: readonly Item[], rounding: 'half' | 'up' = 'half'): number {
  let pico = 0
  for (const [count, each] of items) {
    pico += count * each
    if (!Number.isSafeInteger(pico)) return bigNanoOf(items, rounding)
  }
  const rest = pico % 1000
  return (pico - rest) / 1000 + (rest >= (rounding === 'up' ? 1 : 500) ? 1 : 0)
}

/** Beyond nine thousand dollars a call, where doubles leave out integers. */
function bigNanoOf(items: readonly Item[], rounding: 'half' | 'up'): number {
  let pico = 0n
  for (const [count, each] of items) pico += BigInt(count) * BigInt(each)
  return Number((pico + (rounding === 'up' ? 999n : 500n)) / 1000n)
}

/** A provider's own statement of dollars, to the nearest nano-dollar. */
export const nanoFromUsd = (usd: number): number => Math.round(usd * 1e9)

/**
 * Dollars that were computed in floating point from prices with a few decimals. What such a sum is off is far below a
 * pico-dollar, so the way over whole pico-dollars finds the half again that the sum has lost.
 */
export function nanoFromComputedUsd(usd: number): number {
  const pico = Math.round(usd * 1e12)
  return Number.isSafeInteger(pico) ? nanoOf([[1, pico]]) : nanoFromUsd(usd)
}
