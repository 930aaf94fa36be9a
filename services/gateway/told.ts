import { LRUCache } from 'lru-cache'

/** What agents have told of by ids of their own: telling it again is telling nothing. */
export type Reports = {
  /** False where this id was taken before. */
  readonly first: (agent: string, id: string) => boolean
}

/** Ids of a busy hour; one that has fallen out and is told again is taken again. */
const remembered = 200_000
export function openReports(): Reports {
  const seen = new LRUCache<string, true>({ max: remembered })
  return {
    first(agent, id) {
      const key = `${agent} ${id}`
      if (seen.has(key)) return false
      seen.set(key, true)
      return true
    },
  }
}
