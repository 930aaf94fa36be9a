import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { topics } from '../../schemas/topics.ts'
import type { Settings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import type { FileLogOptions } from '../io/log/file/file.ts'
import type { KafkaLogOptions } from '../io/log/kafka/kafka.ts'
import type { EventLog } from '../io/log/port.ts'
import type { Logger } from '../io/logger.ts'
import { openLogger } from '../io/logger.ts'

/** The log where all roles meet: Kafka where brokers are named, else files under the data directory. */
export async function openSharedLog(settings: Settings, clientId: string, logger: Logger): Promise<EventLog> {
  if (settings.kafka === null) return openFiles(settings, logger)
  const { openKafkaLog } = await import('../io/log/kafka/kafka.ts')
  const { brokers, ssl, sasl } = settings.kafka
  return openKafkaLog({
    brokers,
    clientId,
    // The name holds the data directory and the process's place in it.
    keepsSeat: true,
    log: logger,
    ssl,
    // The three mechanisms have one shape, which the client's type tells three times.
    ...(sasl === null
      ? {}
      : { sasl: { ...sasl, password: sasl.password.reveal() } as NonNullable<KafkaLogOptions['sasl']> }),
  })
}

/**
 * The log next to this process: with Kafka what a gateway writes first and ships from, else the log itself. Nothing of it
 * is deleted before those in `waitFor` have passed it, nor where the policy is not known (a command that only reads).
 */
export async function openFiles(
  settings: Settings,
  logger: Logger,
  policy: FilePolicy | null = null,
): Promise<EventLog> {
  const { openFileLog } = await import('../io/log/file/file.ts')
  return openFileLog({
    dir: path.join(settings.dataDir, settings.kafka === null ? 'log' : 'spool'),
    onFault: fault => logger.error({ err: fault, code: fault.code }, 'the log on this disk has a fault'),
    ...policy,
  })
}

/** An outage is told at its beginning and this often while it lasts. */
const tellAgainMs = 60_000

/**
 * Makes the topics that are missing as soon as the log is there, however long that takes, and tells what is not as it
 * should be.
 */
export async function ensureTopics(log: EventLog, logger: Logger): Promise<void> {
  for (let toldAt = Number.NEGATIVE_INFINITY; ; ) {
    try {
      for (const difference of await log.ensure(Object.values(topics))) logger.warn(difference)
      return
    } catch (error) {
      if (!(error instanceof Fault) || !error.retriable) throw error
      if (performance.now() - toldAt >= tellAgainMs) {
        toldAt = performance.now()
        logger.warn(`the log is away, its topics are looked after when it is back: ${error.message}`)
      }
      await sleep(knockMs)
    }
  }
}

/** The log tries by itself for seconds before it gives up; this only keeps a refusal from being asked for in a circle. */
const knockMs = 500

type FilePolicy = Pick<FileLogOptions, 'durability' | 'maxBytes' | 'retentionMs' | 'waitFor'>

/** Opens the shared log for one act of a command and closes it again. */
export async function withLog<Answer>(
  settings: Settings,
  clientId: string,
  act: (log: EventLog) => Promise<Answer>,
): Promise<Answer> {
  const { logger, flush } = openLogger({
    name: 'cli',
    level: settings.logLevel === 'info' ? 'warn' : settings.logLevel,
  })
  const log = await openSharedLog(settings, clientId, logger)
  try {
    return await act(log)
  } finally {
    await log.close()
    flush()
  }
}
