import { createHash } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { Fault, textOf } from '../io/fault.ts'
import type { Broker, Plan } from './broker.ts'
import { killWithUs, run } from './process.ts'
import { untilReady } from './ready.ts'
import { asEnvironment, brokerSettings, kafkaVersion } from './settings.ts'

/** Where the apache/kafka image expects a volume for data, and may write. */
const dataInside = '/var/lib/kafka/data'
const pullMs = 600_000
const commandMs = 30_000

/** Whether there is an engine behind the client; the client alone runs nothing. */
export async function dockerAnswers(): Promise<boolean> {
  const answer = await run('docker', ['version', '--format', '{{.Server.Version}}'], 5_000)
  return answer.ok && /^\d/.test(answer.out)
}

/** The official image. Its data lies apart from that of the jars: it belongs to the image's own user. */
export async function startInDocker({ dir, port, controllerPort, log }: Plan): Promise<Broker> {
  const dataDir = path.join(dir, 'docker-data')
  await mkdir(dataDir, { recursive: true })
  await chmod(dataDir, 0o777) // written by the image's user, whose number is not ours
  const image = `apache/kafka:${kafkaVersion}`
  const name = `sluice-kafka-${port}`
  log.info({ image, name }, 'starting Kafka in Docker')
  // By itself first: it may have to come over the network, which `run` would hide in one long silence.
  const pulled = await run('docker', ['pull', '--quiet', image], pullMs)
  if (!pulled.ok)
    log.warn({ image }, `the image could not be pulled, trying what is there: ${pulled.out.split('\n').at(-1)}`)
  await run('docker', ['rm', '--force', name], commandMs) // left behind by a crash of ours
  const settings = brokerSettings({ port, controllerPort, dataDir: dataInside, host: '0.0.0.0' })
  const started = await run('docker', dockerArguments(image, name, port, dataDir, settings), commandMs)
  if (!started.ok) {
    const taken = /port is already allocated|address already in use/i.test(started.out)
    const said = started.out.split('\n').at(-1)
    throw new Fault(taken ? 'port_taken' : 'broker_failed', `Docker could not start ${image}: ${said}`)
  }
  const callOff = killWithUs('docker', ['rm', '--force', name])
  const ended = run('docker', ['wait', name], 2 ** 31 - 1).then(({ out }) => {
    callOff()
    const code = Number.parseInt(out, 10)
    return { code: Number.isNaN(code) ? null : code }
  })
  const end = async (how: readonly string[]): Promise<void> => {
    await run('docker', [...how, name], commandMs)
    await ended
    await run('docker', ['rm', '--force', name], commandMs)
  }
  const brokers = `127.0.0.1:${port}`
  try {
    await untilReady(brokers, ended)
  } catch (error) {
    const said = (await run('docker', ['logs', '--tail', '200', name], commandMs)).out
    await end(['kill'])
    const line = said
      .split('\n')
      .find(one => /ERROR|Exception/.test(one))
      ?.trim()
      .slice(0, 300)
    throw new Fault('broker_failed', `${textOf(error)}${line ? `: ${line}` : ''}.`, { cause: error })
  }
  const stop = () => end(['stop', '-t', '15'])
  return { brokers, port, how: 'docker', ended, stop, kill9: () => end(['kill']) }
}

/** The container's ports are the host's, so that the address the broker gives out is good on both sides. */
export const dockerArguments = (
  image: string,
  name: string,
  port: number,
  dataDir: string,
  settings: Readonly<Record<string, string>>,
): readonly string[] => [
  'run',
  '--detach',
  '--name',
  name,
  '--publish',
  `127.0.0.1:${port}:${port}`,
  '--volume',
  `${dataDir}:${dataInside}`,
  '--env',
  `CLUSTER_ID=${clusterId(dataDir)}`,
  ...asEnvironment(settings).flatMap(one => ['--env', one]),
  image,
]

/** The same for a directory at each start: the image refuses data that belongs to another cluster. */
const clusterId = (dataDir: string): string =>
  createHash('sha256').update(dataDir).digest().subarray(0, 16).toString('base64url')
