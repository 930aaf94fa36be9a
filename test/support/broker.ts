import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { TestContext } from 'node:test'
import pino, { type Logger } from 'pino'
import { type Broker, startBroker, whyNoBroker } from '../../services/broker/broker.ts'
import { kafkaVersion } from '../../services/broker/settings.ts'

/** A real Kafka for a test file: that of KAFKA_BROKERS, or one of the file's own on a directory of its own. */
export type TestKafka = {
  readonly brokers: readonly string[]
  /** Only on a broker of its own: ends it with kill -9, or in order. */
  kill9(): Promise<void>
  stop(): Promise<void>
  /** Starts it again, on the same data and port; resolves when it answers, with the time from here to there. */
  start(): Promise<number>
  close(): Promise<void>
}

/** `SLUICE_TEST_KAFKA`: `require` makes a failure of what would be skipped, `off` skips. */
const mode = process.env['SLUICE_TEST_KAFKA']

export const silent: Logger = pino({ level: process.env['SLUICE_TEST_LOG'] ?? 'silent' })

/** Fetched once for all test files and runs. */
export const jars = path.join(os.tmpdir(), `sluice-kafka-${kafkaVersion}`)

/** `own`: the test kills it. Throws where neither KAFKA_BROKERS nor Docker nor Java will do. */
export async function openKafka(options: { readonly own?: boolean } = {}): Promise<TestKafka> {
  const given = process.env['KAFKA_BROKERS']
  if (given && !options.own) {
    const not = () => Promise.reject(new Error('the broker of KAFKA_BROKERS is not ours to stop'))
    return { brokers: given.split(','), kill9: not, stop: not, start: not, close: async () => {} }
  }
  const dir = await mkdtemp(path.join(os.tmpdir(), 'sluice-kafka-test-'))
  let broker: Broker
  try {
    broker = await startBroker({ dir, jars, log: silent })
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
  const { port } = broker
  return {
    brokers: [broker.brokers],
    kill9: () => broker.kill9(),
    stop: () => broker.stop(),
    start: async () => {
      const since = performance.now()
      broker = await startBroker({ dir, jars, port, how: broker.how, log: silent })
      return performance.now() - since
    },
    close: async () => {
      await broker.kill9()
      await rm(dir, { recursive: true, force: true }).catch(() => {}) // in Docker its files are another user's
    },
  }
}

/** Null where a Kafka can be had; else the reason to skip with. Throws where skipping is not allowed. */
export async function whyNoKafka(options: { readonly own?: boolean } = {}): Promise<string | null> {
  if (mode === 'off') return 'SLUICE_TEST_KAFKA=off'
  if (process.env['KAFKA_BROKERS'] && !options.own) return null
  const why = await whyNoBroker(jars)
  if (why !== null && mode === 'require') throw new Error(why)
  return why
}

/** For a test file: null after the test was skipped, because no Kafka can be had here. */
export async function broker(t: TestContext, options: { readonly own?: boolean } = {}): Promise<TestKafka | null> {
  const why = await whyNoKafka(options)
  if (why !== null) {
    t.skip(why)
    return null
  }
  const kafka = await openKafka(options)
  t.after(() => kafka.close())
  return kafka
}
