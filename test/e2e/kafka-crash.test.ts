import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertNothingLost } from '../support/books.ts'
import { broker } from '../support/broker.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { kill9, startChaos } from '../support/chaos.ts'
import { logOn } from '../support/kafka.ts'
import { startLoad, tallyOf } from '../support/load.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const loadMs = Number(process.env['CRASH_SECONDS'] ?? 20) * 1_000
/** Calls that have to be answered, or there was no load. */
const atLeast = loadMs / 100
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
  t.after(load.stop)
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
  // On a busy machine little is answered between the kills: what starts again serves again, and that is looked at, too.
  await until('answers', () => tallyOf(load.calls).answered > atLeast, 30_000, 100)
  await load.stop()
  await assertNothingLost(t, stack, log, { seed, kills: chaos.kills, calls: load.calls, atLeast })
})
