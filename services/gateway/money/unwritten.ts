/** What was said and is not on this disk yet, in the order of saying, and who waits for all of it. */
export type Unwritten = {
  /** Something more was said; to be called back once it is written. */
  say(): () => void
  /** Whether all that was ever said is on disk. */
  readonly isEmpty: () => boolean
  /** Resolves with true once all that was said until now is on disk; with false where that was given up. */
  all(): Promise<boolean>
  /** Nobody waits any longer who has since before `before`. */
  giveUp(before: number): void
}

export function openUnwritten(now: () => number): Unwritten {
  let said = 0
  const open = new Set<number>()
  /** In the order of `upTo`. */
  const waiting: { readonly upTo: number; readonly since: number; readonly tell: (isWritten: boolean) => void }[] = []
  return {
    say() {
      const mine = ++said
      open.add(mine)
      return () => {
        open.delete(mine)
        const [oldest = Number.POSITIVE_INFINITY] = open
        while (waiting[0] !== undefined && waiting[0].upTo < oldest) waiting.shift()?.tell(true)
      }
    },
    isEmpty: () => open.size === 0,
    all: () =>
      open.size === 0 ? Promise.resolve(true) : new Promise(tell => waiting.push({ upTo: said, since: now(), tell })),
    giveUp(before) {
      while (waiting[0] !== undefined && waiting[0].since < before) waiting.shift()?.tell(false)
    },
  }
}
