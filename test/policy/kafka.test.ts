import assert from 'node:assert/strict'
import { test } from 'node:test'
import { budgetsOf } from '../../services/core/money/caps.ts'
import { parseConfig } from '../../services/io/config/config.ts'
import { publishPolicy } from '../../services/io/policy/facts.ts'
import { followPolicy } from '../../services/io/policy/follow.ts'
import { broker } from '../support/broker.ts'
import { logOn } from '../support/kafka.ts'
import { until } from '../support/until.ts'

const config = (text: string) => parseConfig(text, null, {})
const agents = (count: number, usd: number) =>
  config(
    `agents: {${Array.from({ length: count }, (_, i) => `a${i}: { budgets: [{ limitUsd: ${usd} }] }`).join(', ')}}`,
  )

test('over Kafka every follower goes by what was applied within a second, and applies that cross end as one', async t => {
  // Of its own: a policy would be in force for the tests of others, too.
  const kafka = await broker(t, { own: true })
  if (kafka === null) return
  const [one, other] = [logOn(kafka), logOn(kafka)]
  const first = await publishPolicy(one, agents(3, 1).objects, { actor: 'test' })
  const live = [one, other].map(log => followPolicy(log, config('')))
  t.after(() => Promise.all(live.map(each => each.close())))
  await Promise.all(live.map(each => each.caughtUp))
  for (const each of live) assert.equal(each.config().policyVersion, first.policyVersion)

  const second = await publishPolicy(one, agents(1_000, 2).objects, { actor: 'test' })
  assert.equal(second.changes.length, 1_000)
  const since = performance.now()
  await Promise.all(live.map(each => each.reached(second.number)))
  assert.ok(performance.now() - since < 1_000)
  for (const each of live) {
    assert.equal(each.config().policyVersion, second.policyVersion)
    assert.equal(budgetsOf(each.config(), 'agent:a999')?.[0]?.limitNanoUsd, 2e9)
  }

  for (let round = 0; round < 5; round++) {
    const crossed = await Promise.allSettled([
      publishPolicy(one, agents(20, 3 + round * 2).objects, { actor: 'test' }),
      publishPolicy(other, agents(10, 4 + round * 2).objects, { actor: 'test' }),
    ])
    for (const each of crossed) assert.ok(each.status === 'fulfilled' || each.reason.retriable)
    const done = crossed.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
    const last = done.sort((a, b) => b.number - a.number)[0]
    if (done.length < 2) continue
    assert.notEqual(done[0]?.number, done[1]?.number, 'two policies have two numbers')
    await until('one policy', () => live.every(each => each.config().policyVersion === last?.policyVersion))
    const limits = [...(live[0]?.config().agents.values() ?? [])].map(({ budgets }) => budgets[0]?.limitNanoUsd)
    const usd = (limits.length === 20 ? 3 : 4) + round * 2
    assert.deepEqual(limits, Array(limits.length).fill(usd * 1e9))
  }
})
