import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { access, open, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Fault, textOf } from '../io/fault.ts'
import type { Broker, Plan } from './broker.ts'
import { ensureJars } from './jars.ts'
import { killWithUs, run } from './process.ts'
import { untilReady } from './ready.ts'
import { asProperties, brokerSettings, kafkaVersion } from './settings.ts'

const stopMs = 15_000
const jvm = [
  '-Xms128m',
  '-Xmx512m',
  '-XX:+UseSerialGC',
  // The quick compiler alone: two thirds of the time to start, and what the other makes after minutes is of no use here.
  '-XX:TieredStopAtLevel=1',
  '-XX:-UsePerfData',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
]

/** The official jars on the Java of this machine. */
export async function startWithJava({ dir, jars, port, controllerPort, log }: Plan): Promise<Broker> {
  const why = await whyNoJava()
  if (why !== null) throw new Fault('broker_failed', why)
  await ensureJars(jars, kafkaVersion, log)
  const dataDir = path.join(dir, 'data')
  const properties = path.join(dir, 'server.properties')
  await writeFile(properties, asProperties(brokerSettings({ port, controllerPort, dataDir, host: '127.0.0.1' })))
  const classPath = path.join(jars, '*')
  await format(classPath, properties, dataDir)

  const logFile = path.join(dir, 'kafka.log')
  const output = await open(logFile, 'w') // of this run only, so it cannot grow without end
  const child = spawn('java', [...jvm, '-cp', classPath, 'kafka.Kafka', properties], {
    stdio: ['ignore', output.fd, output.fd],
  })
  await output.close()
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null })) // `exit` gives code and signal
  const pid = child.pid
  const callOff = pid === undefined ? () => {} : killWithUs('kill', ['-9', String(pid)])
  void ended.finally(callOff)

  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    child.kill(signal)
    const force = setTimeout(() => child.kill('SIGKILL'), stopMs)
    await ended
    clearTimeout(force)
  }
  const brokers = `127.0.0.1:${port}`
  try {
    await untilReady(brokers, ended)
  } catch (error) {
    await end('SIGKILL')
    throw await explain(error, logFile)
  }
  return { brokers, port, how: 'java', ended, stop: () => end('SIGTERM'), kill9: () => end('SIGKILL') }
}

/** Why Kafka cannot run on the Java of this machine, in a sentence; null where it can. */
export async function whyNoJava(): Promise<string | null> {
  const java = await run('java', ['-version'], 30_000)
  if (!java.ok) {
    return 'No Docker engine answers and `java` was not found in PATH: install Java 17 or newer, start Docker, or set KAFKA_BROKERS.'
  }
  const major = Number(/version "(\d+)/.exec(java.out)?.[1] ?? Number.NaN)
  return major < 17 ? `Kafka ${kafkaVersion} needs Java 17 or newer; the \`java\` in PATH is ${major}.` : null
}

/** Gives the data directory its identity, once. */
async function format(classPath: string, properties: string, dataDir: string): Promise<void> {
  const formatted = await access(path.join(dataDir, 'meta.properties')).then(
    () => true,
    () => false,
  )
  if (formatted) return
  const clusterId = randomBytes(16).toString('base64url').replace(/^-/, 'A') // else it would pass for an option
  const tool = ['-XX:TieredStopAtLevel=1', '-cp', classPath, 'kafka.tools.StorageTool']
  const made = await run('java', [...tool, 'format', '-t', clusterId, '-c', properties], 60_000)
  if (!made.ok) throw new Fault('broker_failed', `Kafka could not prepare ${dataDir}: ${made.out.split('\n').at(-1)}`)
}

/** What Kafka itself said last, in one sentence. */
async function explain(error: unknown, logFile: string): Promise<Fault> {
  const lines = (await readFile(logFile, 'utf8').catch(() => '')).split('\n')
  const said = lines
    .find(line => /Exception|ERROR/.test(line))
    ?.trim()
    .slice(0, 300)
  const taken = lines.some(line => line.includes('Address already in use'))
  const message = `${textOf(error)}${said ? `: ${said}` : ''} (all it said is in ${logFile}).`
  return new Fault(taken ? 'port_taken' : 'broker_failed', message, { cause: error })
}
