import type { Message } from '../../../schemas/events.ts'
import type { TopicSpec } from '../../../schemas/topics.ts'
import type { Fault } from '../fault.ts'

/**
 * The log: the only way roles speak to each other. Two adapters keep this promise, `file` and `kafka`, and one suite
 * (`test/contract/event-log.ts`) holds both to it.
 *
 * For whoever writes a third:
 * - Within a partition, records are read in the order in which they were appended, each at its own rising offset.
 *   Offsets may have holes (compaction); they never repeat for other bytes.
 * - `append` calls back only when a kill -9 of this process can no longer lose the record.
 * - Readers see nothing above the high-water mark: what they were shown is still there after a crash of the machine.
 * - A record with the same key goes to the same partition of its topic, where the adapter spreads by key.
 */
export type EventLog = {
  /** Makes topics that are missing. Answers a sentence for each topic whose settings differ; those are left as they are. */
  ensure(topics: readonly TopicSpec[]): Promise<readonly string[]>

  /**
   * Opens a topic for writing. The file log gives one process at a time a partition (`partition`, default 0) and waits
   * `lockWaitMs` (default 5,000) for another to let go, then throws the Fault `log_locked`. Kafka spreads by key and
   * takes no partition.
   */
  writer(topic: string, options?: WriterOptions): Promise<Writer>

  /** Every follower gets every record of the topic, all partitions: for views, `tail` and proofs. */
  follow(topic: string, options: FollowOptions): Follower

  /**
   * Shared work: each partition of the topics goes to one member of the group at a time; in one process that is this
   * one. Where to start is the worker's word (`assigned`), so that it can tie offsets to its own effects.
   */
  consume(group: string, topics: readonly string[], worker: Worker): Consumer

  /** The group's mark on a partition: everything below `offset` is done. Survives a crash of the machine. */
  commit(group: string, at: Partition, mark: Mark): Promise<void>
  committed(group: string, at: Partition): Promise<Mark | null>

  /** First offset that can still be read, and the high-water mark (the offset after the last readable record). */
  bounds(at: Partition): Promise<{ readonly earliest: number; readonly end: number }>
  partitions(topic: string): Promise<readonly number[]>

  /** Ends all followers and consumers, flushes and closes all writers. */
  close(): Promise<void>
}

export type Partition = { readonly topic: string; readonly partition: number }
export type WriterOptions = {
  readonly partition?: number
  readonly lockWaitMs?: number
  /**
   * For so long the file log waits for more before it shows its readers what was appended (default 0), unless it is
   * flushed; for what readers are in no hurry to see. Where `done` waits for the disk, and on Kafka, it means nothing.
   */
  readonly lingerMs?: number
}

export type Writer = {
  /**
   * Takes a record; the order of calls is the order on the log. `done` comes once, after the record is safe from a crash
   * of this process, or with the Fault `log_unavailable` (full disk, full queue): then nothing was taken and the same
   * record may be tried again later. What is appended after a refused record in the same turn of the event loop is
   * refused as well, so that trying them again in order keeps the order. Calls of `done` come in the order of the
   * appends, never within `append`; only the refusals of a full queue (Kafka) do not wait for their turn. Never throws.
   */
  append(message: Message, done?: (fault: Fault | null, offset: number) => void): void
  /** Resolves when all that was appended is on disk (file) or on all in-sync replicas (Kafka). */
  flush(): Promise<void>
  /** For metrics: records taken and not yet called back, and the age of the oldest of them. */
  backlog(): { readonly records: number; readonly ageMs: number }
  close(): Promise<void>
}

/** `value` may be a view into the memory of its whole batch: copy it where it is to be kept for long. */
export type LogRecord = Message & { readonly offset: number }

/** Consecutive records of one partition, at least one. `end` is the high-water mark when they were read. */
export type Batch = Partition & { readonly records: readonly LogRecord[]; readonly end: number }

/**
 * `overwritten`: nothing of a batch is looked at any more once `onBatch` has settled, so the next one may lie in the same
 * memory. For whoever reads a lot and holds a lot: with memory of its own for each batch, all that is held is gone through
 * for garbage after each 64 MB that were read.
 */
export type Reading = { readonly overwritten?: boolean | undefined }

export type FollowOptions = Reading & {
  /** `latest`: only what is appended from now on. A list starts each named partition there, others at the earliest. */
  readonly from: 'earliest' | 'latest' | readonly (Partition & { readonly offset: number })[]
  /** Only these partitions; all, also ones to come, where it is left out. */
  readonly partitions?: readonly number[]
  /** The next batch comes after the promise is settled: this is the back-pressure. A throw ends the follower. */
  readonly onBatch: (batch: Batch) => Promise<void> | void
}

export type Follower = {
  /** Resolves when everything was delivered that was readable when the follower began. Rejects if it ends before. */
  readonly caughtUp: Promise<void>
  /** Resolves after `close`, rejects with what `onBatch` threw or with what the log broke on. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

export type Worker = Reading & {
  /** A partition is now this member's; `mark` is the group's. Answers the offset to start reading at. */
  readonly assigned: (at: Partition, mark: Mark | null) => Promise<number> | number
  readonly onBatch: (batch: Batch) => Promise<void>
  /** The partition goes to another member after this settles; nothing of it may be committed later. */
  readonly revoked: (at: Partition) => Promise<void> | void
}

/** `note` is the worker's own, at most 4,096 characters: an intent, a checksum. */
export type Mark = { readonly offset: number; readonly note?: string }

export type Consumer = {
  readonly ended: Promise<void>
  close(): Promise<void>
}
