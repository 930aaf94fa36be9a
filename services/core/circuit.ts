/**
 * The breaker of one upstream target. It never refuses a call: an open target only stands back behind those that are
 * well, because a call to a target that may be down is better than none.
 */
export type Circuit = { readonly failures: number; readonly openUntil: number }

export const closed: Circuit = { failures: 0, openUntil: 0 }

const settings = {
  /** Fewer are ordinary noise of a provider. */
  tolerated: 5,
  /** Doubling from the first to the last: long enough to spare clients the wait, short enough to notice recovery. */
  firstOpenMs: 5_000,
  lastOpenMs: 60_000,
}

/** `at` in milliseconds on the same clock as the one given to `isOpen`. */
export function afterTry(circuit: Circuit, well: boolean, at: number): Circuit {
  if (well) return closed
  const failures = circuit.failures + 1
  if (failures < settings.tolerated) return { failures, openUntil: 0 }
  const openMs = Math.min(settings.firstOpenMs * 2 ** (failures - settings.tolerated), settings.lastOpenMs)
  return { failures, openUntil: at + openMs }
}

export const isOpen = (circuit: Circuit, at: number): boolean => circuit.openUntil > at
