import { randomBytes } from 'node:crypto'
import type { Message } from '../../../schemas/events.ts'
import type { TopicSpec } from '../../../schemas/topics.ts'
import type { Fault } from '../../../services/io/fault.ts'
import type {
  Batch,
  Consumer,
  EventLog,
  Follower,
  FollowOptions,
  LogRecord,
  Mark,
  Partition,
  Worker,
  Writer,
} from '../../../services/io/log/port.ts'

/** What the tests of the suite are given: the log under test, and how to open a second one where that is possible. */
export type Bench = {
  readonly log: () => EventLog
  readonly reopen: () => (() => Promise<EventLog>) | undefined
}

/** Longer than a broker takes to move a partition from a member that left without a word. */
export const deadlineMs = 30_000

export const message = (key: string | null, value: string | Buffer, headers: Record<string, string> = {}): Message => ({
  key,
  headers,
  value: typeof value === 'string' ? Buffer.from(value) : value,
})

/** A topic no other test has, made. */
export async function freshTopic(log: EventLog, spec: Partial<TopicSpec> = {}): Promise<TopicSpec> {
  const made: TopicSpec = {
    name: `contract.${randomBytes(6).toString('hex')}`,
    partitions: 1,
    cleanup: 'delete',
    retentionMs: 86_400_000,
    key: 'whatever the test says',
    holds: 'records of one test',
    ...spec,
  }
  const differences = await log.ensure([made])
  if (differences.length > 0) throw new Error(differences.join('; '))
  return made
}

export const append = (writer: Writer, one: Message): Promise<number> =>
  new Promise((resolve, reject) => {
    writer.append(one, (fault: Fault | null, offset) => (fault === null ? resolve(offset) : reject(fault)))
  })

export const appendAll = (writer: Writer, all: readonly Message[]): Promise<number[]> =>
  Promise.all(all.map(one => append(writer, one)))

export const texts = (records: readonly LogRecord[]): string[] => records.map(record => record.value.toString())

/** Holds until the condition is true, looking again at each `changed`; a test that hangs says what it waited for. */
export class Condition {
  #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = []

  changed(): void {
    const ready = this.#waiting.filter(one => one.holds())
    this.#waiting = this.#waiting.filter(one => !ready.includes(one))
    for (const one of ready) one.resolve()
  }

  until(what: string, holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms in vain: ${what}`)), deadlineMs)
      this.#waiting.push({
        holds,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      })
    })
  }
}

/** A follower whose records are kept in the order of delivery. */
export class Reading {
  readonly records: (LogRecord & Partition)[] = []
  readonly batches: Batch[] = []
  readonly follower: Follower
  readonly #condition = new Condition()

  constructor(log: EventLog, topic: string, from: FollowOptions['from'], partitions?: readonly number[]) {
    const only = partitions === undefined ? {} : { partitions }
    this.follower = log.follow(topic, { from, ...only, onBatch: batch => this.#take(batch) })
  }

  #take(batch: Batch): void {
    this.batches.push(batch)
    for (const record of batch.records) {
      this.records.push({ ...record, topic: batch.topic, partition: batch.partition })
    }
    this.#condition.changed()
  }

  count(records: number): Promise<void> {
    return this.#condition.until(`${records} records of ${this.records.length}`, () => this.records.length >= records)
  }

  /** Closes it and answers the values. */
  async end(): Promise<string[]> {
    await this.follower.close()
    await this.follower.ended
    return texts(this.records)
  }
}

/** A member of a group: keeps what it was given and commits after each batch. `start` is its answer to `assigned`. */
export class Member {
  readonly records: LogRecord[] = []
  readonly assigned: (Partition & { readonly mark: Mark | null })[] = []
  readonly revoked: Partition[] = []
  readonly consumer: Consumer
  readonly #condition = new Condition()

  constructor(
    log: EventLog,
    group: string,
    topics: readonly string[],
    options: {
      readonly start?: (mark: Mark | null) => number
      readonly onBatch?: (batch: Batch) => Promise<void>
    } = {},
  ) {
    const start = options.start ?? (mark => mark?.offset ?? 0)
    const worker: Worker = {
      assigned: (at, mark) => {
        this.assigned.push({ ...at, mark })
        this.#condition.changed()
        return start(mark)
      },
      onBatch: async batch => {
        await options.onBatch?.(batch)
        this.records.push(...batch.records)
        const last = batch.records.at(-1)!
        await log.commit(group, batch, { offset: last.offset + 1, note: `after ${last.value.toString().slice(0, 20)}` })
        this.#condition.changed()
      },
      revoked: at => {
        this.revoked.push(at)
        this.#condition.changed()
      },
    }
    this.consumer = log.consume(group, topics, worker)
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return this.#condition.until(what, holds)
  }

  async end(): Promise<void> {
    await this.consumer.close()
    await this.consumer.ended
  }
}
