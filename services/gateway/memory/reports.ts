import { LRUCache } from 'lru-cache'

/** What agents have told of by ids of their own: telling it again is telling nothing. */
export type Reports = {
  /** False where this id was taken before. */
  readonly first: (agent: string, id: string) => boolean
  /** It could not be taken after all, and may be told again. */
  readonly forget: (agent: string, id: string) => void
}

/** Ids of a busy hour; one that has fallen out and is told again is taken again. */
const remembered = 200_000
export function openReports(): Reports {
  const seen = new LRUCache<string, true>({ max: remembered })
  const nameOf = (agent: string, id: string) => `${agent} ${id}`
  return {
    first(agent, id) {
      const key = nameOf(agent, id)
      if (seen.has(key)) return false
      seen.set(key, true)
      return true
    },
    forget: (agent, id) => void seen.delete(nameOf(agent, id)),
  }
}
