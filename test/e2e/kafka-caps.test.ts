import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentOf, configOf } from '../../bench/prove/agents.ts'
import { flood, judge } from '../../bench/prove/flood.ts'
import { breakBroker, outageCapNanoUsd, outageGround, termMs } from '../../bench/prove/outage.ts'
import { startProvider } from '../../bench/prove/provider.ts'
import { broker } from '../support/broker.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { startStack } from '../support/stack.ts'

const capNanoUsd = 10_000_000

test(`caps over Kafka (seed ${seed})`, async t => {
  const kafka = await broker(t, { own: true })
  if (kafka === null) return

  await t.test('a cap holds over three gateways, and can be used to its end', async t => {
    const provider = await startProvider()
    t.after(provider.close)
    // A name of its own: on one log it would be one agent with that of the next part, and share its cap.
    const capped = agentOf('flooding', { budgets: [{ limitUsd: 0.01 }] })
    const others = [1, 2].map(i => agentOf(`other-${i}`))
    const stack = await startStack({
      config: configOf(provider.origin, [capped, ...others]),
      env: { KAFKA_BROKERS: kafka.brokers.join(','), SLUICE_WORKERS: '3' },
    })
    t.after(stack.close)
    const flooded = await flood({ url: stack.told('Gateway'), capped, others, calls: 100, chance: chanceOf(seed) })
    const found = judge(provider, flooded, capNanoUsd)
    t.diagnostic(JSON.stringify(found))
    assert.ok(found.billed <= capNanoUsd, `${found.billed} nano-dollars were billed`)
    assert.ok(found.billed >= 0.95 * capNanoUsd, `only ${found.billed} nano-dollars could be used`)
    assert.deepEqual([found.phantoms, found.wrong, found.unended, found.strangersRefused], [[], [], [], 0])
  })

  await t.test('while the broker is away they hold too: what is leased is spent, and then no more', async t => {
    const ground = await outageGround(kafka)
    t.after(ground.close)
    const found = await breakBroker({ ...ground, kafka, awayMs: 20_000, chance: chanceOf(seed + 1) })
    t.diagnostic(JSON.stringify(found))
    assert.equal(found.free.refused, 0, 'who has no cap notices nothing')
    assert.ok(found.away.answered > 0, 'what is leased can be spent')
    assert.equal(found.away.codes, 'log_unavailable')
    assert.ok(found.lastMs <= termMs, `a call was let through ${found.lastMs} ms after the broker had gone`)
    assert.ok(found.backMs < 15_000, `served again after ${found.backMs} ms`)
    assert.ok(found.billed <= outageCapNanoUsd, `${found.billed} nano-dollars were billed`)
    assert.ok(found.billed >= 0.95 * outageCapNanoUsd, `only ${found.billed} nano-dollars could be used`)
    assert.deepEqual([found.phantoms, found.driftNanoUsd], [0, 0])
    assert.ok(found.finals > 0, 'it was spent to its end')
  })
})
