import fs from 'node:fs'
import type { Consumer, Partition, Worker } from '../port.ts'
import { type Lock, takeLock } from './lock.ts'
import type { Marks } from './marks.ts'
import { topicDir } from './place.ts'
import { goRound, type Place, type Rounds } from './rounds.ts'

/**
 * All partitions of some topics for one member of a group. Who has a group is settled by a lock per topic; another
 * member waits for it, in whatever process, and goes on at the marks within a few hundredths of a second of a crash.
 */
export function consume(
  place: Place & { readonly marks: Marks },
  group: string,
  topics: readonly string[],
  worker: Worker,
): Consumer {
  const closing = new AbortController()
  const mine: Partition[] = []
  let rounds: Rounds | null = null

  const run = async () => {
    const locks: Lock[] = []
    try {
      // In one order everywhere, so that two members with several topics cannot each hold what the other waits for.
      for (const topic of topics.toSorted()) {
        const dir = topicDir(place.dir, topic)
        fs.mkdirSync(dir, { recursive: true })
        const lock = await takeLock(dir, `group ${group}`, Number.POSITIVE_INFINITY, closing.signal)
        if (lock === null) return
        locks.push(lock)
      }
      if (closing.signal.aborted) return
      rounds = goRound({
        ...place,
        topics,
        begin: async at => {
          const start = await worker.assigned(at, place.marks.get(group, at))
          mine.push(at)
          return start
        },
        deliver: worker.onBatch,
        overwritten: worker.overwritten,
      })
      await rounds.ended
    } finally {
      try {
        for (const at of mine.splice(0)) await worker.revoked(at)
      } finally {
        for (const lock of locks) await lock.release()
      }
    }
  }

  const ended = run()
  return {
    ended,
    close: async () => {
      closing.abort()
      await rounds?.close()
      await ended.catch(() => {}) // told by `ended` itself
    },
  }
}
