/** Wakes whoever waits. A ring that nobody hears is remembered for the next who waits. */
export type Bell = {
  readonly ring: () => void
  /** Resolves at the next ring, or after `ms`. */
  readonly heard: (ms?: number) => Promise<void>
}

export function makeBell(): Bell {
  let rung = false
  let wake: (() => void) | null = null
  return {
    ring: () => {
      if (wake === null) rung = true
      else wake()
    },
    heard: ms => {
      if (rung) {
        rung = false
        return Promise.resolve()
      }
      return new Promise(resolve => {
        const timer = ms === undefined ? null : setTimeout(() => wake?.(), ms)
        wake = () => {
          wake = null
          if (timer !== null) clearTimeout(timer)
          resolve()
        }
      })
    },
  }
}
