import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Logger } from 'pino'
import { Fault } from '../io/fault.ts'
import { dockerAnswers, startInDocker } from './docker.ts'
import { whyNoJars } from './jars.ts'
import { startWithJava, whyNoJava } from './java.ts'
import { portNear } from './port.ts'
import { kafkaVersion } from './settings.ts'

/** A running broker of our own. `brokers` is what KAFKA_BROKERS wants. */
export type Broker = {
  readonly brokers: string
  readonly port: number
  readonly how: 'docker' | 'java'
  /** Resolves when it has ended, however; null where no exit code is known. */
  readonly ended: Promise<{ readonly code: number | null }>
  /** In order; after 15 s by force. Its data stays in the directory. */
  stop(): Promise<void>
  /** At once, as a crash of the machine's process would. Resolves when it is gone. */
  kill9(): Promise<void>
}

export type BrokerOptions = {
  /** Holds the data, the settings, `kafka.log`, and the jars where `jars` does not name another place for them. */
  readonly dir: string
  /** Absent: a free one. */
  readonly port?: number
  readonly jars?: string
  /** Absent: Docker where an engine answers, else Java. */
  readonly how?: 'docker' | 'java'
  readonly log: Logger
}

/** What each way of starting is given. */
export type Plan = {
  readonly dir: string
  readonly jars: string
  readonly port: number
  readonly controllerPort: number
  readonly log: Logger
}

/** Port numbers are found free, and can be taken before Kafka has them; then two more tries with others. */
const tries = 3

/**
 * Starts a real Kafka (KRaft, one node: broker and controller) on 127.0.0.1 and resolves when it answers. A second start
 * on the same directory finds the data of the first. Throws the Fault `broker_failed` with one sentence for the user.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const dir = path.resolve(options.dir)
  await mkdir(dir, { recursive: true })
  const how = options.how ?? ((await dockerAnswers()) ? 'docker' : 'java')
  const start = how === 'docker' ? startInDocker : startWithJava
  for (let left = tries - 1; ; left--) {
    const port = options.port ?? (await portNear())
    const controllerPort = await portNear(port)
    const jars = path.resolve(options.jars ?? path.join(dir, `lib-${kafkaVersion}`))
    try {
      return await start({ dir, jars, port, controllerPort, log: options.log })
    } catch (error) {
      const taken = error instanceof Fault && error.code === 'port_taken'
      if (!taken || left === 0 || options.port !== undefined) throw error
    }
  }
}

/** Why no broker can be started here, in a sentence; null where one can. Starts nothing. */
export async function whyNoBroker(jars: string): Promise<string | null> {
  if (await dockerAnswers()) return null
  return (await whyNoJava()) ?? (await whyNoJars(jars, kafkaVersion))
}
