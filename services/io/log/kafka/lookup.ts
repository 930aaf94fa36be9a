import type { Partition } from '../port.ts'
import type { Session } from './session.ts'

export type Bounds = { readonly earliest: number; readonly end: number }

/** Questions about topics, over a connection that no reader or writer waits on. Throws `topic_unknown`, `log_unavailable`. */
export type Lookup = {
  readonly partitions: (topic: string) => Promise<readonly number[]>
  readonly bounds: (topic: string, partitions: readonly number[]) => Promise<ReadonlyMap<number, Bounds>>
  readonly ends: (partitions: readonly Partition[]) => Promise<readonly number[]>
}

/** Partitions are added to a topic by hand, once in a while; a list this old is taken as it is. */
const cacheMs = 10_000
const cacheTopics = 1_000

export function openLookup(session: Session, lookupMs: number): Lookup {
  const cache = new Map<string, { readonly at: number; readonly partitions: readonly number[] }>()

  async function partitions(topic: string): Promise<readonly number[]> {
    const known = cache.get(topic)
    if (known && performance.now() - known.at < cacheMs) return known.partitions
    const found = await session.ask(
      `tell the partitions of ${topic}`,
      lookupMs,
      async cluster => {
        if (known) await cluster.refreshMetadata()
        return cluster
          .findTopicPartitionMetadata(topic)
          .map(({ partitionId }) => partitionId)
          .sort((a, b) => a - b)
      },
      { topics: [topic] },
    )
    if (cache.size >= cacheTopics) cache.clear()
    cache.set(topic, { at: performance.now(), partitions: found })
    return found
  }

  async function offsets(topic: string, of: readonly number[], fromBeginning: boolean): Promise<Map<number, number>> {
    const found = await session.ask(
      `tell the offsets of ${topic}`,
      lookupMs,
      cluster =>
        cluster.fetchTopicsOffset([{ topic, partitions: of.map(partition => ({ partition })), fromBeginning }]),
      { topics: [topic] },
    )
    return new Map(found.flatMap(t => t.partitions.map(p => [p.partition, Number(p.offset)] as const)))
  }

  async function bounds(topic: string, of: readonly number[]): Promise<ReadonlyMap<number, Bounds>> {
    const [earliest, end] = [await offsets(topic, of, true), await offsets(topic, of, false)]
    return new Map(of.map(p => [p, { earliest: earliest.get(p) ?? 0, end: end.get(p) ?? 0 }] as const))
  }

  async function ends(of: readonly Partition[]): Promise<readonly number[]> {
    const found = new Map<string, Map<number, number>>()
    for (const [topic, own] of Map.groupBy(of, at => at.topic)) {
      found.set(topic, await offsets(topic, [...new Set(own.map(({ partition }) => partition))], false))
    }
    return of.map(({ topic, partition }) => found.get(topic)?.get(partition) ?? 0)
  }

  return { partitions, bounds, ends }
}
