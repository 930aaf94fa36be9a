import fs from 'node:fs'
import { Fault } from '../../fault.ts'
import type { EventLog, Partition, WriterOptions } from '../port.ts'
import { consume } from './consume.ts'
import { follow } from './follow.ts'
import { takeLock } from './lock.ts'
import { Marks } from './marks.ts'
import { listPartitions, listSegments, partitionDir } from './place.ts'
import { recover } from './recover.ts'
import { Tail } from './tail.ts'
import { ensureTopic, readSettings } from './topic.ts'
import { Upkeep } from './upkeep.ts'
import { readWatermark } from './watermark.ts'
import { FileWriter } from './writer.ts'

export type FileLogOptions = {
  readonly dir: string
  /** When a segment is closed and the next begun; default 64 MiB, for compacted topics at most 8. */
  readonly segmentBytes?: number
  /** The bound of a partition on disk; above it `append` answers `log_unavailable`. Default: none but the disk. */
  readonly maxBytes?: number
  /** In place of what the topic was made with. 0: whatever every group has passed. It yields to `maxBytes`. */
  readonly retentionMs?: number
  /** Groups without which nothing is deleted, even before they have begun. */
  readonly waitFor?: readonly string[]
  /** `os` (default): `done` when the page cache has it. `fsync`: when the disk has it. */
  readonly durability?: 'os' | 'fsync'
  /** How often a reader looks where no watch wakes it; default 20. */
  readonly pollMs?: number
  /** Whether readers ask the file system to wake them; default true. Without it they look every `pollMs`. */
  readonly watch?: boolean
  /** Damage that was met, a disk that failed (`log_broken`: the writer is dead), old records that cannot be deleted. */
  readonly onFault?: (fault: Fault) => void
}

const mib = 1024 * 1024
const segmentBytesDefault = 64 * mib
/** Compaction touches closed segments only, and the topics that have it are small. */
const compactedSegmentBytes = 8 * mib
const pollMsDefault = 20
const lockWaitMsDefault = 5_000

/** The log as files in one directory: one writer process for each partition, any number of readers. */
export function openFileLog(options: FileLogOptions): EventLog {
  const { dir } = options
  const onFault = options.onFault ?? (fault => process.emitWarning(fault.message, { code: fault.code }))
  const marks = new Marks(dir)
  const place = { dir, marks, onFault, pollMs: options.pollMs ?? pollMsDefault, watch: options.watch ?? true }
  const open = new Set<{ readonly close: () => Promise<void> }>()
  /** By partition: there may be something to clear, for a group has come further. */
  const passed = new Map<string, () => void>()
  let closed = false
  const keep = <T extends { readonly close: () => Promise<void> }>(one: T): T => {
    open.add(one)
    return one
  }

  return {
    async ensure(topics) {
      const sentences = await Promise.all(topics.map(topic => ensureTopic(dir, topic)))
      return sentences.filter(sentence => sentence !== null)
    },

    async writer(topic, writerOptions = {}) {
      const writer = await openWriter(options, onFault, topic, writerOptions, passed, () => open.delete(writer))
      if (!closed) return keep(writer)
      await writer.close()
      throw new Fault('log_closed', 'The log was closed.')
    },

    follow(topic, followOptions) {
      const follower = keep(follow(place, topic, followOptions))
      return { ...follower, close: () => follower.close().finally(() => open.delete(follower)) }
    },

    consume(group, topics, worker) {
      const consumer = keep(consume(place, group, topics, worker))
      return { ...consumer, close: () => consumer.close().finally(() => open.delete(consumer)) }
    },

    async commit(group, at, mark) {
      await marks.put(group, at, mark)
      passed.get(partitionDir(dir, at))?.()
    },
    committed: async (group, at) => marks.get(group, at),

    async bounds(at) {
      const place = partitionDir(dir, at)
      const end = readWatermark(place)?.end ?? 0
      return { earliest: Math.min(listSegments(place)[0] ?? end, end), end }
    },

    partitions: async topic => listPartitions(dir, topic),

    async close() {
      closed = true
      await Promise.all([...open].map(one => one.close()))
      open.clear()
    },
  }
}

async function openWriter(
  options: FileLogOptions,
  onFault: (fault: Fault) => void,
  topic: string,
  { partition = 0, lockWaitMs = lockWaitMsDefault, lingerMs = 0 }: WriterOptions,
  passed: Map<string, () => void>,
  onClosed: () => void,
): Promise<FileWriter> {
  const at: Partition = { topic, partition }
  const dir = partitionDir(options.dir, at)
  fs.mkdirSync(dir, { recursive: true })
  const lock = await takeLock(dir, 'writer', lockWaitMs)
  if (lock === null) {
    const message = `Another process writes partition ${partition} of ${topic}; it did not let go within ${lockWaitMs} ms.`
    throw new Fault('log_locked', message, { retriable: true })
  }
  try {
    const described = readSettings(options.dir, topic)
    const settings = { ...described, retentionMs: options.retentionMs ?? described.retentionMs }
    const maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY
    // What is only kept for a while fills at most half of the bound: the other half is for what nobody has read yet.
    const keepBytes = maxBytes / 2
    // A bound must be reached by closed segments, for only those can be deleted to make room.
    const segmentBytes = Math.min(
      options.segmentBytes ?? segmentBytesDefault,
      maxBytes / 4,
      settings.cleanup === 'delete' ? Number.POSITIVE_INFINITY : compactedSegmentBytes,
    )
    const resumed = await recover(dir, readWatermark(dir), onFault)
    const durability = options.durability ?? 'os'
    const tail = new Tail(dir, resumed, {
      segmentBytes,
      awaited: durability === 'fsync',
      lingerMs,
      onDurable: () => writer.durable(),
      onSettled: () => upkeep.soon(),
      onBroken: onFault,
    })
    await tail.begin()
    const waitFor = options.waitFor ?? []
    const upkeep = new Upkeep(dir, tail, { settings, segmentBytes, waitFor, keepBytes, onFault })
    // Room is made when it can be, not only when it is asked for: the first who asked in vain would be refused.
    passed.set(dir, () => tail.bytes > keepBytes && upkeep.soon())
    const writer = new FileWriter(tail, {
      maxBytes,
      durability,
      onPressure: () => upkeep.soon(),
      onClose: async () => {
        passed.delete(dir)
        await upkeep.close()
        await lock.release()
        onClosed()
      },
    })
    return writer
  } catch (error) {
    await lock.release()
    throw error
  }
}
