/** Numbers from a seed (mulberry32), so that a failure can be had again. */
export type Chance = {
  /** From 0 to below 1. */
  readonly random: () => number
  /** A whole number from `from` to below `to`. */
  readonly between: (from: number, to: number) => number
}

export function chanceOf(seed: number): Chance {
  let a = seed >>> 0
  const random = (): number => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { random, between: (from, to) => from + Math.floor(random() * (to - from)) }
}

/** `SEED` plays a run again; without it each run has its own. */
export const seedOfRun = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
