import type { Follower, FollowOptions, Partition } from '../port.ts'
import { listPartitions, partitionDir } from './place.ts'
import { goRound, type Place } from './rounds.ts'
import { readWatermark } from './watermark.ts'

/**
 * Every record of a topic. `latest` begins at the high-water mark as it is now: a record appended a moment ago that the
 * disk does not have yet still comes.
 */
export function follow(place: Place, topic: string, options: FollowOptions): Follower {
  const { from } = options
  const ends = new Map(
    listPartitions(place.dir, topic)
      .filter(partition => options.partitions?.includes(partition) ?? true)
      .map(partition => {
        const mark = readWatermark(partitionDir(place.dir, { topic, partition }))
        return [partition, mark?.end ?? 0] as const
      }),
  )
  const start = ({ partition }: Partition): number => {
    if (from === 'earliest') return 0
    // A partition that appears later holds only what was appended after the follower began.
    if (from === 'latest') return ends.get(partition) ?? 0
    return from.find(one => one.topic === topic && one.partition === partition)?.offset ?? 0
  }

  const caughtUp = Promise.withResolvers<void>()
  // Whoever does not wait for it learns of a failure from `ended`.
  caughtUp.promise.catch(() => {})
  const rounds = goRound({
    ...place,
    topics: [topic],
    partitions: options.partitions,
    begin: start,
    deliver: options.onBatch,
    overwritten: options.overwritten,
    looked: readers => {
      for (const [partition, end] of ends) {
        const reader = readers.find(one => one.at.partition === partition)
        if (reader !== undefined && reader.next < end) return
        if (reader !== undefined) ends.delete(partition)
      }
      if (ends.size === 0) caughtUp.resolve()
    },
  })
  const ended = rounds.ended.then(
    () => caughtUp.reject(new Error('the follower was closed before it had caught up')),
    error => {
      caughtUp.reject(error)
      throw error
    },
  )
  return { caughtUp: caughtUp.promise, ended, close: rounds.close }
}
