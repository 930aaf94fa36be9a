import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Message } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog, LogRecord, Writer } from '../../services/io/log/port.ts'
import { type Sink, type SinkOptions, startSink } from '../../services/sink/sink.ts'
import { type Opened, openWarehouse } from '../clickhouse/opened.ts'
import { until } from '../support/until.ts'

export const events = topics.events.name
export const sunk = [topics.events, topics.ledger, topics.control, topics.alerts].map(topic => topic.name)

/** A log in files, a warehouse, and as many sinks as a test wants, one after the other. */
export type Bench = AsyncDisposable & {
  readonly dir: string
  readonly log: EventLog
  readonly opened: Opened
  /** What the sinks told the operator. */
  readonly said: string[]
  readonly writer: (topic?: string, partition?: number) => Promise<Writer>
  readonly append: (messages: readonly Message[], topic?: string, partition?: number) => Promise<void>
  readonly sink: (options?: Partial<SinkOptions>) => Sink
  /** Waits until so many rows of the topic are stored. */
  readonly stored: (rows: number, topic?: string) => Promise<void>
  readonly letters: () => Promise<readonly LogRecord[]>
}

export async function openBench(): Promise<Bench> {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'sluice-sink-'))
  const opened = await openWarehouse()
  const log = openFileLog({ dir })
  await log.ensure(Object.values(topics))
  const writers = new Map<string, Promise<Writer>>()
  const sinks: Sink[] = []
  const said: string[] = []
  const tell = (fields: unknown, text?: string) => void said.push(text ?? String(fields))
  const logger = { info: tell, warn: tell } as unknown as SinkOptions['logger'] // all that the sink uses of pino

  const writer = (topic: string = events, partition = 0) => {
    const name = `${topic}/${partition}`
    if (!writers.has(name)) writers.set(name, log.writer(topic, { partition }))
    return writers.get(name)!
  }
  return {
    dir,
    log,
    opened,
    said,
    writer,
    append: async (messages, topic, partition) => {
      const open = await writer(topic, partition)
      for (const message of messages) open.append(message)
      await open.flush()
    },
    sink: options => {
      const sink = startSink({
        log,
        clickhouse: opened.client,
        topics: sunk,
        logger,
        limits: { lingerMs: 20 },
        ...options,
      })
      sinks.push(sink)
      return sink
    },
    stored: (rows, topic = events) =>
      until(
        `${rows} rows of ${topic}`,
        async () => {
          const [row] = await opened.rows<{ n: number }>(
            'SELECT count() AS n FROM events WHERE topic = {topic:String}',
            { topic },
          )
          if (row!.n > rows) throw new Error(`${row!.n} rows instead of ${rows}`)
          return row!.n === rows
        },
        15_000,
        20,
      ).then(() => {}),
    letters: async () => {
      const letters: LogRecord[] = []
      const follower = log.follow(topics.deadletters.name, {
        from: 'earliest',
        onBatch: batch => void letters.push(...batch.records),
      })
      await follower.caughtUp
      await follower.close()
      return letters
    },
    [Symbol.asyncDispose]: async () => {
      for (const sink of sinks) await sink.close()
      await log.close()
      await opened[Symbol.asyncDispose]()
      await fs.rm(dir, { recursive: true, force: true })
    },
  }
}
