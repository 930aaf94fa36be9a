import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { startBroker } from '../../services/broker/broker.ts'
import { kafkaCommand } from '../../services/broker/command.ts'
import { dockerArguments } from '../../services/broker/docker.ts'
import { isFree, portNear } from '../../services/broker/port.ts'
import { asEnvironment, asProperties, brokerSettings, kafkaVersion } from '../../services/broker/settings.ts'
import { jars, openKafka, silent, whyNoKafka } from '../support/broker.ts'
import { append, freshTopic, logOn, message } from '../support/kafka.ts'

const scratch = () => mkdtemp(path.join(os.tmpdir(), 'sluice-broker-test-'))
const quiet = { log: silent, signal: new AbortController().signal }

test('where KAFKA_BROKERS is set there is nothing to start', async () => {
  const lines: string[] = []
  const print = (line: string) => void lines.push(line)
  const code = await kafkaCommand({ dir: '/nowhere', already: 'kafka:9092', print, ...quiet })
  assert.equal(code, 0)
  assert.match(lines.join('\n'), /KAFKA_BROKERS is set \(kafka:9092\)/)
})

test('without Java or Maven the user is told in a sentence what to install', async t => {
  const dir = await scratch()
  const whole = process.env['PATH']
  t.after(async () => {
    process.env['PATH'] = whole
    await rm(dir, { recursive: true, force: true })
  })
  const bin = path.join(dir, 'bin')
  await mkdir(bin)
  process.env['PATH'] = bin
  const start = () => startBroker({ dir: path.join(dir, 'kafka'), log: silent })
  await assert.rejects(start(), { code: 'broker_failed', message: /`java` was not found in PATH: install Java 17/ })
  await writeFile(path.join(bin, 'java'), '#!/bin/sh\necho \'openjdk version "11.0.2"\' >&2\n', { mode: 0o755 })
  await assert.rejects(start(), { code: 'broker_failed', message: /needs Java 17 or newer; the `java` in PATH is 11/ })
  await writeFile(path.join(bin, 'java'), '#!/bin/sh\necho \'openjdk version "17.0.15"\' >&2\n', { mode: 0o755 })
  await assert.rejects(start(), { code: 'broker_failed', message: /`mvn` \(Maven\) was not found in PATH/ })
  await symlink('/bin/sh', path.join(bin, 'sh'))
  await writeFile(
    path.join(bin, 'mvn'),
    '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "[ERROR] no route to the repository"\nexit 1\n',
    { mode: 0o755 },
  )
  await assert.rejects(start(), {
    code: 'broker_failed',
    message: /Maven could not fetch Kafka .*no route to the repository/,
  })
})

test('a port that is taken is told, and not waited for', async t => {
  const port = await portNear()
  const server = net.createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  assert.equal(await isFree(port), false)
  const lines: string[] = []
  const code = await kafkaCommand({ dir: '/nowhere', port, print: line => void lines.push(line), ...quiet })
  assert.equal(code, 1)
  assert.match(lines.join('\n'), new RegExp(`Port ${port} of 127.0.0.1 is taken`))
})

test('the container gets the same settings as the jars, its port on loopback only, and the same identity each time', () => {
  const settings = brokerSettings({
    port: 19092,
    controllerPort: 19093,
    dataDir: '/var/lib/kafka/data',
    host: '0.0.0.0',
  })
  const make = () => dockerArguments('apache/kafka:0', 'name', 19092, '/data', settings)
  const made = make()
  assert.deepEqual(made, make())
  assert.ok(made.includes('127.0.0.1:19092:19092'))
  assert.ok(made.includes('/data:/var/lib/kafka/data'))
  assert.ok(made.includes('KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:19092'))
  assert.ok(made.some(one => /^CLUSTER_ID=[\w-]{22}$/.test(one)))
  assert.equal(made.at(-1), 'apache/kafka:0')
  assert.deepEqual(asEnvironment({ 'a.b-c_d': 'x' }), ['KAFKA_A_B___C__D=x'])
  assert.equal(asProperties({ a: 'C:\\x' }), 'a=C:\\\\x\n')
})

test('what was written before a stop, and before a kill -9, is there after the next start', async t => {
  const why = await whyNoKafka({ own: true })
  if (why !== null) return t.skip(why)
  const kafka = await openKafka({ own: true })
  t.after(() => kafka.close())
  const log = logOn(kafka)
  const topic = await freshTopic(log)
  const writer = await log.writer(topic)
  await append(writer, message('k', 'a'))
  await kafka.stop()
  await kafka.start()
  await append(writer, message('k', 'b'))
  await kafka.kill9()
  const startMs = await kafka.start()
  t.diagnostic(`started again after kill -9 in ${startMs.toFixed()} ms`)
  assert.deepEqual(await log.bounds({ topic, partition: 0 }), { earliest: 0, end: 2 })
})

test('`sluice kafka` runs until Ctrl-C; killed with -9 it takes the broker along', async t => {
  const why = await whyNoKafka({ own: true })
  if (why !== null) return t.skip(why)
  const dir = await scratch()
  t.after(() => rm(dir, { recursive: true, force: true }))
  await symlink(jars, path.join(dir, `lib-${kafkaVersion}`))
  const main = path.join(import.meta.dirname, '../../services/main.ts')
  const { KAFKA_BROKERS: _, ...env } = process.env
  const start = async () => {
    const child = spawn(process.execPath, [main, 'kafka', '--dir', dir, '--port', String(await portNear())], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const port = await new Promise<number>((resolve, reject) => {
      let said = ''
      child.stdout.on('data', chunk => {
        said += chunk
        const brokers = /KAFKA_BROKERS=127\.0\.0\.1:(\d+)/.exec(said)
        if (brokers) resolve(Number(brokers[1]))
      })
      child.once('exit', code => reject(new Error(`it ended with ${code}: ${said}`)))
    })
    return { child, port }
  }
  const first = await start()
  first.child.kill('SIGINT')
  const [code] = await once(first.child, 'exit')
  assert.equal(code, 0)
  assert.equal(await isFree(first.port), true)
  const second = await start()
  second.child.kill('SIGKILL')
  const deadline = performance.now() + 10_000
  while (!(await isFree(second.port))) {
    assert.ok(performance.now() < deadline, 'the broker outlived the command')
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  assert.match(await readFile(path.join(dir, 'server.properties'), 'utf8'), /process.roles=broker,controller/)
})
