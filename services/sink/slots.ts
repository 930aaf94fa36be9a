/** How many may be at it at once; the others wait in the order in which they came. */
export type Slots = { readonly within: <T>(act: () => Promise<T>) => Promise<T> }

export function makeSlots(limit: number): Slots {
  const queue: (() => void)[] = []
  let taken = 0
  return {
    async within(act) {
      if (taken >= limit) await new Promise<void>(resolve => queue.push(resolve))
      else taken++
      try {
        return await act()
      } finally {
        // Handed on, not freed: who has waited comes before who asks now.
        const next = queue.shift()
        if (next === undefined) taken--
        else next()
      }
    },
  }
}
