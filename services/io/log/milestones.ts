/** How far something has come along a log, and who waits for it to come further. */
export type Milestones = {
  /** It has come to `offset`. */
  readonly reach: (offset: number) => void
  /** Resolves with true once it has come to `offset`; with false after `ms`, or when it will come no further. */
  readonly reached: (offset: number, ms: number) => Promise<boolean>
  readonly end: () => void
}

/** As many may wait as ask: each of them has a deadline. */
export function openMilestones(): Milestones {
  let at = 0
  let over = false
  const waiting = new Set<{ readonly offset: number; readonly tell: (isReached: boolean) => void }>()
  return {
    reach(offset) {
      at = Math.max(at, offset)
      for (const one of waiting) if (one.offset <= at) one.tell(true)
    },
    reached(offset, ms) {
      if (offset <= at || over) return Promise.resolve(offset <= at)
      return new Promise(resolve => {
        const one = {
          offset,
          tell(isReached: boolean) {
            clearTimeout(timer)
            waiting.delete(one)
            resolve(isReached)
          },
        }
        const timer = setTimeout(() => one.tell(false), ms)
        waiting.add(one)
      })
    },
    end() {
      over = true
      for (const one of waiting) one.tell(false)
    },
  }
}
