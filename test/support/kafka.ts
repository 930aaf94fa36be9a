import { randomBytes } from 'node:crypto'
import { after } from 'node:test'
import pino, { type Logger } from 'pino'
import type { Message } from '../../schemas/events.ts'
import type { TopicSpec } from '../../schemas/topics.ts'
import type { Fault } from '../../services/io/fault.ts'
import { type KafkaLogOptions, openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import type { EventLog, Writer } from '../../services/io/log/port.ts'
import { silent, type TestKafka } from './broker.ts'

/** A log on the broker, closed when the test file is done. */
export function logOn(kafka: TestKafka, options: Partial<KafkaLogOptions> = {}): EventLog {
  const clientId = `test-${randomBytes(3).toString('hex')}`
  const log = openKafkaLog({ brokers: kafka.brokers, clientId, log: silent, ...options })
  after(() => log.close())
  return log
}

/** A topic that no other test has. */
export async function freshTopic(log: EventLog, spec: Partial<TopicSpec> = {}): Promise<string> {
  const name = `test.${randomBytes(6).toString('hex')}`
  await log.ensure([
    {
      name,
      partitions: 1,
      cleanup: 'delete',
      retentionMs: 86_400_000,
      key: 'of the test',
      holds: 'of the test',
      ...spec,
    },
  ])
  return name
}

export const message = (key: string | null, value: string | Buffer, headers: Record<string, string> = {}): Message => ({
  key,
  headers,
  value: typeof value === 'string' ? Buffer.from(value) : value,
})

export const append = (writer: Writer, one: Message): Promise<number> =>
  new Promise((resolve, reject) => {
    writer.append(one, (fault: Fault | null, offset) => (fault === null ? resolve(offset) : reject(fault)))
  })

/** Resolves when the condition holds, looking every `lookMs` (0: each turn of the loop); a vain wait says for what. */
export async function until(what: string, holds: () => boolean, ms = 30_000, lookMs = 2): Promise<void> {
  const deadline = performance.now() + ms
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain: ${what}`)
    await new Promise<void>(resolve => (lookMs === 0 ? setImmediate(resolve) : setTimeout(resolve, lookMs)))
  }
}

export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN
}

/** A logger whose lines, from `info` up, can be read. */
export const listening = (lines: string[]): Logger => pino({ level: 'info' }, { write: line => void lines.push(line) })
