import { LRUCache } from 'lru-cache'
import type { Knot, Knots } from '../../core/conversation/thread.ts'

/** Ten thousand live runs with ten calls each, and as much again, by two keys each; a knot and its keys are 500 bytes. */
const keysKnown = 400_000
/** Knots under one key: runs that say the same at the same place. Beyond it the oldest are given up. */
const alike = 16
const none: readonly Knot[] = []

/**
 * Where conversations can go on. No ages are kept: a knot is as old as its run, so the run is asked; what is found by
 * nobody any more is pushed out above the bound.
 */
export function openKnots(isRecent: (runId: string) => boolean): Knots {
  // Nearly always one stands alone, and then it stands here itself: a list around each would be a tenth of what is kept.
  const known = new LRUCache<string, Knot | readonly Knot[]>({ max: keysKnown })
  const status: LRUCache.Status<string, Knot | readonly Knot[]> = {}
  const told = { status }
  return {
    get(key) {
      const found = known.get(key)
      if (found === undefined) return none
      const knots = listed(found)
      return knots.every(knot => isRecent(knot.runId)) ? knots : knots.filter(knot => isRecent(knot.runId))
    },
    add(key, knot) {
      // Rarely was there one: so it is asked for by setting, for in a large cache each look costs a microsecond.
      delete status.oldValue
      known.set(key, knot, told)
      if (status.oldValue !== undefined) known.set(key, [...listed(status.oldValue).slice(1 - alike), knot])
    },
  }
}

const listed = (found: Knot | readonly Knot[]): readonly Knot[] => ('runId' in found ? [found] : found)
