import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { header } from '../../schemas/envelope.ts'
import { topics } from '../../schemas/topics.ts'
import { start as startGateway } from '../../services/cli/roles/gateway.ts'
import { readSettings } from '../../services/io/config/settings.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { llm, producer, work } from '../clickhouse/tell.ts'
import { type Audit, assertBooks, audit, drained, inWords } from '../support/books.ts'
import { broker, silent } from '../support/broker.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { logOn } from '../support/kafka.ts'
import { type Call, startLoad, tallyOf } from '../support/load.ts'
import { spawnStack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'
import { keysSeen } from './keys-seen.ts'

const linux = process.platform !== 'linux' && 'processes are found by /proc'

test(`a Kafka that is away for 15 s: nothing is refused or waits, a restart serves, all arrives once and in order (seed ${seed})`, {
  skip: linux,
}, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const env = { KAFKA_BROKERS: kafka.brokers.join(',') }
  const stack = await startStack({ env: { ...env, SLUICE_WORKERS: '2' } })
  t.after(() => stack.close())
  const seen = await keysSeen(stack)
  t.diagnostic(`two gateways knew a key after ${seen.createdMs} ms and its end after ${seen.revokedMs} ms`)
  const issued = (await stack.cli('keys', 'create', '--agent', 'issued')).stdout.trim()
  const [url, key] = [stack.told('Gateway'), stack.credentials().agentKey]
  const load = startLoad({ url, key, perSecond: 100, chance: chanceOf(seed) })
  t.after(load.stop)
  await sleep(4_000)
  const stopping = performance.now()
  await kafka.stop()
  const away = performance.now()
  await sleep(8_000)
  const age = await queueAge(url)
  const killed = performance.now()
  const gateways = stack.processes().filter(({ title }) => title === 'sluice:gateway')
  for (const { pid } of gateways) process.kill(pid, 'SIGKILL')
  // Both are new: an issued key is known only from what the life before has kept.
  await until('gateways without Kafka', () => times(stack.stderr(), 'is up again') >= gateways.length, 15_000)
  const servedMs = performance.now() - killed
  assert.equal((await ask(url, issued)).status, 200)
  assert.equal((await ask(url, `${issued}x`)).status, 401)
  await sleep(Math.max(0, 15_000 - (performance.now() - away)))
  await kafka.start()
  const back = performance.now()
  await sleep(2_000)
  await load.stop()
  await drained(stack, logOn(kafka), 40_000)
  const found = await until('the tables', () => audit(stack, load.calls), 20_000)
  const between = (from: number, to: number) => load.calls.filter(call => call.at >= from && call.at < to)
  const [before, during] = [tallyOf(between(0, stopping)), tallyOf(between(stopping, killed - 2_000))]
  tell(t, { gateway: gateways.length }, load.calls, found)
  t.diagnostic(
    `before: p50 ${before.p50Ms} ms, p99 ${before.p99Ms} ms; away: p50 ${during.p50Ms} ms, p99 ${during.p99Ms} ms; ` +
      `oldest event not shipped ${age.toFixed(1)} s; gateways back without Kafka after ${servedMs.toFixed()} ms; ` +
      `all stored ${(performance.now() - back).toFixed()} ms after Kafka was back`,
  )
  assert.deepEqual([during.refused, during.broken], [0, 0], 'refused or broken while Kafka was away')
  assert.ok(during.answered > 500, 'there was load')
  assert.ok(during.maxMs < 8_000, `a call took ${during.maxMs} ms: it waited for Kafka`)
  assert.ok(age > 4, 'the metric tells the age of what is not shipped')
  assertAllOnce(found)
  await assertBooks(stack)
  await until('an empty spool', async () => (await queueAge(url)) < 1)
})

test('a Kafka that is away at a first start is waited for; a spool at its bound refuses, and mends by itself', {
  skip: linux,
}, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  await kafka.stop()
  const env = { KAFKA_BROKERS: kafka.brokers.join(',') }
  const stack = spawnStack({ env, config: 'limits:\n  spoolBytes: 1500000\n' })
  t.after(() => stack.close())
  // A gateway that has never known any key waits for Kafka, for it could only send everybody away.
  await until('its word', () => stack.stderr().includes('its topics are looked after when it is back'), 40_000)
  assert.doesNotMatch(stack.stderr(), /gateway is up|was ended|ended with/)
  await kafka.start()
  await until('the banner', () => stack.stdout().includes('Ctrl-C'), 30_000)
  const [url, key] = [stack.told('Gateway'), stack.credentials().agentKey]
  await kafka.stop()
  const load = startLoad({ url, key, perSecond: 100, chance: chanceOf(seed), name: 'full' })
  t.after(load.stop)
  await until('a refusal', () => load.calls.some(call => call.why === 'log_unavailable'), 20_000)
  const refused = await ask(url, key)
  const body = (await refused.json()) as { error: { code: string } }
  assert.deepEqual([refused.status, body.error.code], [503, 'log_unavailable'])
  assert.ok(Number(refused.headers.get('retry-after')) > 0)
  await kafka.start()
  const back = performance.now()
  await until('an answer', async () => (await ask(url, key)).status === 200, 30_000, 100)
  const servedMs = performance.now() - back
  // Until all is shipped the room that was made may be taken again; from then on there is enough.
  await until('an empty spool', async () => (await queueAge(url)) < 0.5, 20_000)
  const mended = performance.now()
  await sleep(1_500)
  await load.stop()
  await drained(stack, logOn(kafka), 40_000)
  const after = load.calls.filter(call => call.at > mended)
  const found = await until('the tables', () => audit(stack, load.calls), 20_000)
  tell(t, {}, load.calls, found)
  const { answered, refused: no, broken } = tallyOf(load.calls)
  t.diagnostic(
    `answered ${answered}, refused ${no}, broken ${broken}; served again ${servedMs.toFixed()} ms after Kafka was back`,
  )
  assert.deepEqual(new Set(load.calls.map(call => call.why)), new Set(['', 'log_unavailable']))
  assert.ok(after.length > 50 && after.every(call => call.how === 'answered'), 'once mended, nothing more is refused')
  assertAllOnce(found)
  await assertBooks(stack)
})

test('a Kafka that was away is told later what a start with more workers has left behind', { skip: linux }, async t => {
  const kafka = await broker(t)
  if (kafka === null) return

  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-left-'))
  const settings = readSettings(
    { KAFKA_BROKERS: kafka.brokers.join(','), SLUICE_DATA_DIR: dataDir, SLUICE_PORT: '0', SLUICE_WORKERS: '2' },
    dataDir,
  )
  const spool = openFileLog({ dir: path.join(dataDir, 'spool') })
  await spool.ensure(Object.values(topics))
  const left = await spool.writer(topics.events.name, { partition: 4 })
  const say = producer('gateway-left-4')
  for (let i = 0; i < 20; i++) left.append(say(llm(work(`run-left-${i}`)), Date.now(), `run-left-${i}`))
  await left.flush()
  await spool.close()
  const arrived: string[] = []
  const follower = logOn(kafka).follow(topics.events.name, {
    from: 'earliest',
    onBatch: ({ records }) => {
      for (const { headers } of records) if (headers[header.id]?.startsWith('gateway-left-4')) arrived.push('one')
    },
  })
  t.after(() => follower.close())
  const gateway = await startGateway({ settings, env: {}, slot: 0, logger: silent })
  t.after(async () => {
    await gateway.close()
    fs.rmSync(dataDir, { recursive: true })
  })
  await until('all of them', () => arrived.length >= 20, 20_000)
  assert.equal(arrived.length, 20)
})

/** What takes longer hangs, and is to be named where it does. */
const hangsMs = 10_000

const ask = (url: string, key: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(hangsMs),
    body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }),
  })

async function queueAge(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(hangsMs) })).text()
  return Number(/^sluice_log_queue_age_seconds (\S+)$/m.exec(text)?.[1])
}

const times = (text: string, word: string): number => text.split(word).length - 1

function tell(
  t: { diagnostic(text: string): void },
  kills: Record<string, number>,
  calls: readonly Call[],
  found: Audit,
) {
  t.diagnostic(inWords(seed, kills, calls, found))
}

const assertAllOnce = ({ lost, duplicated, invented }: Audit) =>
  assert.deepEqual([lost, duplicated, invented], [0, 0, 0])
