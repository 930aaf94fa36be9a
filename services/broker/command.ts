import type { Logger } from 'pino'
import { Fault } from '../io/fault.ts'
import { type Broker, startBroker } from './broker.ts'
import { isFree } from './port.ts'
import { kafkaVersion } from './settings.ts'

export type KafkaCommand = {
  /** Where data, settings and jars live; `./.kafka` by default. */
  readonly dir: string
  /** Absent: 9092, or a free one where that is taken. */
  readonly port?: number
  /** KAFKA_BROKERS. */
  readonly already?: string
  readonly log: Logger
  readonly print: (line: string) => void
  /** Falls on Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
}

const usualPort = 9092

/** `sluice kafka`: a broker for as long as the command runs. Answers the exit code. */
export async function kafkaCommand({ dir, port, already, log, print, signal }: KafkaCommand): Promise<number> {
  if (already) {
    print(`KAFKA_BROKERS is set (${already}): there is nothing to start.`)
    return 0
  }
  const chosen = port ?? ((await isFree(usualPort)) ? usualPort : undefined)
  if (port !== undefined && !(await isFree(port))) {
    print(`Port ${port} of 127.0.0.1 is taken: choose another, or leave it out.`)
    return 1
  }
  print(`Starting Kafka ${kafkaVersion} on ${dir} …`)
  let broker: Broker
  try {
    broker = await startBroker({ dir, log, ...(chosen === undefined ? {} : { port: chosen }) })
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    if (signal.aborted) return 0 // Ctrl-C reaches the child as well
    print(error.message)
    return 1
  }
  print(`Kafka ${kafkaVersion} answers (${broker.how}). Data in ${dir}; Ctrl-C stops it.`)
  print(`  export KAFKA_BROKERS=${broker.brokers}`)
  const stopped = new Promise<'stopped'>(resolve => {
    if (signal.aborted) resolve('stopped')
    else signal.addEventListener('abort', () => resolve('stopped'), { once: true })
  })
  const first = await Promise.race([stopped, broker.ended])
  if (first !== 'stopped') {
    print(`Kafka ended by itself (exit code ${first.code ?? 'unknown'}); see kafka.log in ${dir}.`)
    return 1
  }
  print('Stopping Kafka …')
  await broker.stop()
  return 0
}
