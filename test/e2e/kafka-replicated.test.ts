import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { agentOf, ask, configOf } from '../../bench/prove/agents.ts'
import { decodeRaw } from '../../schemas/events.ts'
import { decodeLedger } from '../../schemas/money.ts'
import { type TopicSpec, topics } from '../../schemas/topics.ts'
import { reportsIn } from '../../services/core/money/reports.ts'
import type { EventLog, LogRecord } from '../../services/io/log/port.ts'
import { drained } from '../support/books.ts'
import { broker } from '../support/broker.ts'
import { logOn } from '../support/kafka.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

test('with `durability: replicated` no provider is asked before the brokers have what was decided', async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const log = logOn(kafka)
  /** What stands on Kafka at the moment in which the provider is asked for a call. */
  const found: { readonly call: string; readonly isAdmitted: boolean; readonly heldNanoUsd: number }[] = []
  const provider = createServer(async (request, response) => {
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString())
    const { call } = body.metadata
    const [events, ledger] = await Promise.all([standing(log, topics.events), standing(log, topics.ledger)])
    const told = ledger.flatMap(record => decodeLedger(record) ?? [])
    found.push({
      call,
      isAdmitted: events.map(decodeRaw).some(({ type, task }) => type === 'admission.granted' && task === call),
      heldNanoUsd: Math.max(0, ...told.flatMap(reportsIn).map(one => one.held_nano_usd + one.spent_nano_usd)),
    })
    const message = { role: 'assistant', content: 'word' }
    const usage = { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 }
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({ id: call, model: body.model, choices: [{ index: 0, message, finish_reason: 'stop' }], usage }),
    )
  })
  await new Promise<void>(resolve => provider.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    provider.closeAllConnections()
    provider.close()
  })
  const { port } = provider.address() as AddressInfo // listening on TCP, so not a pipe's name
  const [free, capped] = [agentOf('free'), agentOf('capped', { budgets: [{ limitUsd: 1 }] })]
  const stack = await startStack({
    config: configOf(`http://127.0.0.1:${port}`, [free, capped], { durability: 'replicated' }),
    env: { KAFKA_BROKERS: kafka.brokers.join(',') },
  })
  t.after(stack.close)
  const url = stack.told('Gateway')

  await t.test('the admission is in the topic, and the hold in the ledger', async t => {
    const first = await ask(url, free)
    const tries = []
    for (let i = 0; i < 3; i++) tries.push(await ask(url, capped))
    assert.deepEqual(
      [first, ...tries].map(one => one.status),
      [200, 200, 200, 200],
    )
    assert.deepEqual(
      found.map(({ call, isAdmitted }) => [call, isAdmitted]),
      [first, ...tries].map(({ call }) => [call, true]),
    )
    const [, ...held] = found
    assert.ok(
      held.every(one => one.heldNanoUsd >= 400_000),
      JSON.stringify(held),
    )
    t.diagnostic(`answered after ${tries.map(one => (one.endedAt - one.sentAt).toFixed()).join(', ')} ms`)
  })

  await t.test('with the broker killed no call is made, and the refusal says that the log is away', async t => {
    await kafka.kill9()
    const before = found.length
    const tries = await Promise.all([free, capped, free, capped].map(agent => ask(url, agent)))
    assert.deepEqual(new Set(tries.map(one => `${one.status} ${one.code}`)), new Set(['503 log_unavailable']))
    assert.equal(found.length, before, 'a provider was asked')
    const waited = Math.max(...tries.map(one => one.endedAt - one.sentAt))
    t.diagnostic(`refused after ${waited.toFixed()} ms`)
    assert.ok(waited < 9_000 && tries.every(one => Number(one.headers['retry-after']) > 0))
  })

  await t.test('when it is back calls go on, and the books can be proved', async t => {
    await kafka.start()
    const back = performance.now()
    for (const agent of [free, capped]) {
      await until('an answer', async () => (await ask(url, agent)).status === 200, 30_000, 200)
      t.diagnostic(`${agent.name} was answered after ${(performance.now() - back).toFixed()} ms`)
    }
    assert.ok(found.every(one => one.isAdmitted))
    // A broker that was killed takes half a minute to give the sink its partitions again.
    await drained(stack, log, 60_000)
    const { code, stdout, stderr } = await stack.cli('verify')
    assert.equal(code, 0, stdout + stderr)
  })
})

/** All records that a topic has at this moment, however long it takes to read them. */
async function standing(log: EventLog, { name: topic, partitions }: TopicSpec): Promise<readonly LogRecord[]> {
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }))
  const ends = await Promise.all(places.map(async at => (await log.bounds(at)).end))
  const all: LogRecord[] = []
  const follower = log.follow(topic, {
    from: 'earliest',
    onBatch: ({ partition, records }) =>
      void all.push(...records.filter(({ offset }) => offset < (ends[partition] ?? 0))),
  })
  try {
    await follower.caughtUp
    return all
  } finally {
    await follower.close()
  }
}
