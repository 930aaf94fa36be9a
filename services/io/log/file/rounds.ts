import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Fault } from '../../fault.ts'
import type { Batch, Partition, Reading } from '../port.ts'
import { Doorbell } from './doorbell.ts'
import { listPartitions, partitionDir, topicDir, watermarkFile } from './place.ts'
import { PartitionReader } from './reader.ts'

/** How often topics are looked through for new partitions where no watch tells of them. */
const discoverMs = 250

/** Where the log lies, and how its readers wait. */
export type Place = {
  readonly dir: string
  readonly pollMs: number
  readonly watch: boolean
  readonly onFault: (fault: Fault) => void
}

export type Rounds = {
  /** Resolves after `close`; rejects with what `begin`, `deliver` or the log threw. */
  readonly ended: Promise<void>
  /** Resolves when no `deliver` runs any more; not to be awaited within one. */
  readonly close: () => Promise<void>
}

/**
 * Goes round the partitions of some topics and delivers what is new, one batch at a time over all of them: that is the
 * back-pressure, and nobody has to think about two batches at once. Partitions that appear are taken in.
 */
export function goRound(
  options: Place &
    Reading & {
      readonly topics: readonly string[]
      /** Only these; all where it is left out. */
      readonly partitions?: readonly number[] | undefined
      /** The offset to read a partition from. */
      readonly begin: (at: Partition) => Promise<number> | number
      readonly deliver: (batch: Batch) => Promise<void> | void
      /** Called after each look at everything there is. */
      readonly looked?: (readers: readonly PartitionReader[]) => void
    },
): Rounds {
  const { dir, topics } = options
  const bell = new Doorbell(options)
  const readers: PartitionReader[] = []
  let closed = false
  let discoverAt = 0

  const discover = async () => {
    discoverAt = performance.now() + discoverMs
    for (const topic of topics) {
      bell.watch(topicDir(dir, topic), () => {
        discoverAt = 0
      })
      for (const partition of listPartitions(dir, topic)) {
        if (options.partitions?.includes(partition) === false) continue
        const at = { topic, partition }
        const place = partitionDir(dir, at)
        if (!readers.some(reader => reader.at.topic === topic && reader.at.partition === partition)) {
          readers.push(new PartitionReader(at, place, await options.begin(at), options))
        }
        if (closed) return
        bell.watch(watermarkFile(place))
      }
    }
  }

  const round = async (): Promise<boolean> => {
    let any = false
    for (const reader of readers) {
      const batch = await reader.read()
      if (closed) return false
      if (batch === null) continue
      any = true
      const delivered = options.deliver(batch)
      if (delivered !== undefined) await delivered
      if (closed) return false
    }
    return any
  }

  const run = async () => {
    try {
      let rang = true
      while (!closed) {
        if (performance.now() >= discoverAt) await discover()
        const any = await round()
        if (closed) break
        options.looked?.(readers)
        if (any && !rang) bell.missed()
        rang = true
        // A fast writer must not keep this process from everything else it does.
        if (any) await nextTurn()
        else rang = await bell.heard()
      }
    } finally {
      bell.close()
      for (const reader of readers) reader.close()
    }
  }

  const ended = run()
  return {
    ended,
    close: async () => {
      closed = true
      bell.ring()
      await ended.catch(() => {}) // told by `ended` itself
    },
  }
}
