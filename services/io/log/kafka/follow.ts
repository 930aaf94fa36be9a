import type { Logger } from 'pino'
import { Fault } from '../../fault.ts'
import type { Follower, FollowOptions } from '../port.ts'
import { inTime, patiently, pause, unless } from './deadline.ts'
import type { Lookup } from './lookup.ts'
import { type Cursor, read } from './reader.ts'
import type { Session } from './session.ts'

/** New partitions of a followed topic are noticed within this. */
const discoverMs = 60_000
const closeMs = 5_000

/**
 * Reads all partitions by itself, without a group: nobody shares this reading, so there is nothing to agree on, and it
 * begins without the seconds a group takes to assemble (a broker waits 3 s for the first members by default) and leaves
 * nothing behind on the broker. From `latest`, the end is where each partition stands when Kafka is first asked; once
 * `caughtUp` has resolved, that has been.
 */
export function openFollower(
  topic: string,
  options: FollowOptions,
  session: Session,
  lookup: Lookup,
  log: Logger,
): Follower {
  const stop = new AbortController()
  const caughtUp = Promise.withResolvers<void>()
  caughtUp.promise.catch(() => {}) // `ended` tells the same to whoever does not wait for this one

  async function run(): Promise<void> {
    const known = new Set<number>()
    const behind = new Map<number, number>()
    const start = await patiently(() => starts(topic, options, lookup), stop.signal)
    if (!start) return
    let cursors = start.map(({ cursor }) => cursor)
    for (const { cursor, end } of start) {
      known.add(cursor.partition)
      if (cursor.next < end) behind.set(cursor.partition, end)
    }
    if (behind.size === 0) caughtUp.resolve()
    while (!stop.signal.aborted) {
      // A reading lives until a partition is added; then it is begun again with all of them, each where it stood.
      const added = new AbortController()
      const signal = AbortSignal.any([stop.signal, added.signal])
      const discovering = options.partitions
        ? Promise.resolve()
        : discover(topic, known, lookup, signal).then(found => {
            cursors = [...cursors, ...found]
            added.abort()
          })
      try {
        await read({
          session,
          log,
          cursors,
          deliver: options.onBatch,
          passed: ({ partition, next }) => {
            if (next < (behind.get(partition) ?? 0) || !behind.delete(partition)) return
            if (behind.size === 0) caughtUp.resolve()
          },
          ends: lookup.ends,
          signal,
        })
      } finally {
        added.abort()
        await discovering
      }
    }
  }

  const ended = run().then(
    () => caughtUp.reject(new Fault('log_closed', `the follower of ${topic} was closed before it had caught up`)),
    error => {
      caughtUp.reject(
        new Fault('log_closed', `the follower of ${topic} ended before it had caught up`, { cause: error }),
      )
      throw error
    },
  )
  const gone = ended.catch(() => {}).finally(() => session.close())
  return {
    caughtUp: caughtUp.promise,
    ended,
    close: async () => {
      stop.abort()
      if (await inTime(closeMs, gone)) return
      log.warn({ topic, closeMs }, 'the follower was closed while its last batch is still being worked on')
      session.close()
    },
  }
}

type Start = { readonly cursor: Cursor; readonly end: number }

async function starts(topic: string, { from, partitions }: FollowOptions, lookup: Lookup): Promise<readonly Start[]> {
  const there = await lookup.partitions(topic)
  const bounds = await lookup.bounds(topic, partitions ? there.filter(one => partitions.includes(one)) : there)
  return [...bounds].map(([partition, { earliest, end }]) => {
    const named =
      typeof from === 'string' ? undefined : from.find(at => at.topic === topic && at.partition === partition)
    const next = from === 'latest' ? end : Math.max(earliest, named?.offset ?? earliest)
    return { cursor: { topic, partition, next }, end }
  })
}

async function discover(
  topic: string,
  known: Set<number>,
  lookup: Lookup,
  signal: AbortSignal,
): Promise<readonly Cursor[]> {
  for (;;) {
    await pause(discoverMs, signal)
    if (signal.aborted) return []
    const partitions = (await unless(signal, lookup.partitions(topic)).catch(() => null)) ?? []
    const found = partitions.filter(partition => !known.has(partition))
    if (found.length === 0) continue
    for (const partition of found) known.add(partition)
    return found.map(partition => ({ topic, partition, next: 0 }))
  }
}
