import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { header } from '../../../schemas/envelope.ts'
import { decode, type Event } from '../../../schemas/events.ts'
import type { LlmCompleted } from '../../../schemas/llm.ts'
import { topics } from '../../../schemas/topics.ts'
import { textOf } from '../../io/fault.ts'
import type { EventLog, Follower } from '../../io/log/port.ts'
import { type Memory, memorable, memoryGroup, remember } from './memory.ts'

/**
 * What other gateways saw of the same runs, read from the log: a conversation that began elsewhere is gone on with here
 * as the same run, and a tool call that was asked for there is answered here.
 */
export type Peers = {
  /** Whether there can be any. */
  readonly any: boolean
  /** Resolves when something more is known than when it was asked, or after `ms`; false: nothing came. */
  news(ms: number): Promise<boolean>
  /** Looks until it finds something, or until no more is to be heard of within `ms`. */
  awaited<T>(look: () => T | undefined, ms: number): Promise<T | undefined>
  /** Resolves when it is known what stood on the log as it could be read for the first time. */
  readonly known: Promise<void>
  close(): Promise<void>
}

/** One gateway alone has no peers to wait for. */
export const noPeers: Peers = {
  any: false,
  news: async () => false,
  awaited: async look => look(),
  known: Promise.resolve(),
  close: async () => {},
}

/** Of each of a dozen partitions: a second of reading at a start. */
const unmarkedRecords = 5_000

/** After the log broke under the follower. */
const againMs = 1_000

export function followPeers(options: {
  readonly log: EventLog
  /** `/sluice/<producer>`: what this gateway wrote itself. */
  readonly source: string
  readonly memory: Memory
  readonly idleMs: () => number
  /** Another gateway has told the end of a call. */
  readonly ended: (event: Event & LlmCompleted) => void
  readonly logger: Logger
}): Peers {
  const { log, memory, logger } = options
  const topic = topics.events.name
  let waiting: (() => void)[] = []
  const closing = new AbortController()
  const known = Promise.withResolvers<void>()
  let follower: Follower | null = null

  const follow = (from: Parameters<EventLog['follow']>[1]['from']): Follower =>
    log.follow(topic, {
      from,
      onBatch(batch) {
        let known = false
        for (const record of batch.records) {
          if (record.headers[header.source] === options.source || !memorable.has(record.headers[header.type] ?? ''))
            continue
          const read = decode(record)
          if ('unreadable' in read) continue // the sink tells the world about it
          remember(memory, read.event, false, Date.now() - options.idleMs())
          if (read.event.type === 'llm.completed') options.ended(read.event)
          known = true
        }
        if (!known) return
        const told = waiting
        waiting = []
        for (const tell of told) tell()
      },
    })

  /** Each gateway marks in its partition where the idle time began. Kafka's has no such marks: some of its end is read. */
  const marks = async () => {
    const partitions = await log.partitions(topic)
    return Promise.all(
      partitions.map(async partition => {
        const at = { topic, partition }
        const mark = await log.committed(memoryGroup, at)
        if (mark !== null) return { ...at, offset: mark.offset }
        const { earliest, end } = await log.bounds(at)
        return { ...at, offset: Math.max(earliest, end - unmarkedRecords) }
      }),
    )
  }
  const run = async () => {
    let from: Parameters<EventLog['follow']>[1]['from'] | null = null
    while (!closing.signal.aborted) {
      try {
        from ??= await marks()
        if (closing.signal.aborted) return
        follower = follow(from)
        follower.caughtUp.then(known.resolve).catch(() => {}) // told by `ended`
        from = 'latest'
        await follower.ended
      } catch (error) {
        if (closing.signal.aborted) return
        logger.warn({ err: error }, `other gateways cannot be followed: ${textOf(error)}`)
        await sleep(againMs, undefined, { signal: closing.signal }).catch(() => {})
      }
    }
  }
  // Not waited for: a gateway serves while the log is away.
  void run()

  const news = (ms: number): Promise<boolean> =>
    new Promise(resolve => {
      const timer = setTimeout(() => resolve(false), ms)
      waiting.push(() => {
        clearTimeout(timer)
        resolve(true)
      })
    })
  return {
    any: true,
    known: known.promise,
    news,
    async awaited(look, ms) {
      const deadline = performance.now() + ms
      for (;;) {
        const found = look()
        const left = deadline - performance.now()
        if (found !== undefined || left <= 0 || !(await news(left))) return found ?? look()
      }
    },
    async close() {
      closing.abort()
      known.resolve()
      await follower?.close()
    },
  }
}
