import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertBooks, audit, drained, inWords } from '../support/books.ts'
import { broker } from '../support/broker.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { kill9, startChaos } from '../support/chaos.ts'
import { logOn } from '../support/kafka.ts'
import { startLoad, tallyOf } from '../support/load.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const loadMs = Number(process.env['CRASH_SECONDS'] ?? 20) * 1_000
const linux = process.platform !== 'linux' && 'processes are found by /proc'

test(`over Kafka, with the broker killed too: every answered call is a row, once (seed ${seed})`, {
  skip: linux,
}, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const stack = await startStack({ env: { KAFKA_BROKERS: kafka.brokers.join(','), SLUICE_WORKERS: '2' } })
  t.after(() => stack.close())
  const log = logOn(kafka)
  const [url, key] = [stack.told('Gateway'), stack.credentials().agentKey]
  const load = startLoad({ url, key, perSecond: 200, chance: chanceOf(seed) })
  let returning: Promise<unknown> | null = null
  const chance = chanceOf(seed + 1)
  const chaos = startChaos({
    chance,
    pauseMs: [300, 2_500],
    acts: {
      gateway: kill9(stack, 'gateway', chance),
      sink: kill9(stack, 'enforcer+sink', chance),
      warehouse: kill9(stack, 'warehouse', chance),
      // Others are killed while it is on its way back.
      broker: async () => {
        await returning
        await kafka.kill9()
        returning = kafka.start()
        return true
      },
    },
  })
  await sleep(loadMs)
  await chaos.stop()
  await returning
  await load.stop()
  // Calls that a last crash has left open are ended by the life after it.
  await until('the gateway', async () => (await fetch(`${url}/ready`)).ok, 20_000)
  await drained(stack, log, 60_000)
  const found = await until('the tables', () => audit(stack, load.calls), 20_000)
  t.diagnostic(inWords(seed, chaos.kills, load.calls, found))
  assert.ok(tallyOf(load.calls).answered > loadMs / 100, 'there was load')
  assert.deepEqual([found.lost, found.duplicated, found.invented], [0, 0, 0])
  await assertBooks(stack)
})
