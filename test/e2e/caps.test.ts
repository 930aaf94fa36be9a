import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentOf, ask, configOf, drain, scriptedAt } from '../../bench/prove/agents.ts'
import { entriesOf, flood, judge, usual } from '../../bench/prove/flood.ts'
import { costOf, startProvider } from '../../bench/prove/provider.ts'
import { sql } from '../support/books.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const capNanoUsd = 10_000_000
const calls = 100
const soon = () => performance.now() + 15_000

test(`a cap holds at one gateway (seed ${seed})`, async t => {
  const provider = await startProvider()
  t.after(provider.close)
  const capped = agentOf('capped', { budgets: [{ limitUsd: 0.01, alertAt: [0.5, 0.8] }] })
  const tight = agentOf('tight', { budgets: [{ limitUsd: 0.00095 }] })
  const windowed = agentOf('windowed', { budgets: [{ limitUsd: 0.002, window: '1m' }, { limitUsd: 1 }] })
  const team = [agentOf('anna', { team: 'crew' }), agentOf('bert', { team: 'crew' })] as const
  const mystery = agentOf('mystery', { budgets: [{ limitUsd: 0.001 }] })
  const others = [1, 2, 3, 4].map(i => agentOf(`other-${i}`))
  const stack = await startStack({
    config: configOf(provider.origin, [capped, tight, windowed, ...team, mystery, ...others], {
      teams: { crew: { budgets: [{ limitUsd: 0.003 }] } },
      providers: {
        scripted: scriptedAt(provider.origin),
        secret: { protocol: 'openai', baseUrl: `${provider.origin}/v1`, apiKey: 'sk-none', models: ['mystery*'] },
      },
      routes: [],
    }),
  })
  t.after(stack.close)
  const url = stack.told('Gateway')
  const chance = chanceOf(seed)

  // In a minute of which most is left: else what is spent before its end and after is in two windows.
  await until('a young minute', () => Date.now() % 60_000 < 45_000, 20_000)
  const spentWindow = await drain(url, windowed, () => ({ say: 100 }), soon(), { wide: 1 })
  const closed = spentWindow.at(-1)

  await t.test('under many calls at once, to the nano-dollar, and can be used to its end', async t => {
    const flooded = await flood({ url, capped, others, calls, chance })
    const found = judge(provider, flooded, capNanoUsd)
    t.diagnostic(JSON.stringify(found))
    assertHeld(found)
    await assertBooked(stack, capped.name, found.billed)
    const levels = async () =>
      (
        await sql<{ scope: string; threshold: number }>(
          stack,
          "SELECT scope, JSONExtractFloat(data, 'threshold') AS threshold FROM alerts WHERE type = 'budget.threshold' ORDER BY threshold",
        )
      ).map(row => [row.scope, row.threshold])
    await until('both alerts', async () => (await levels()).length >= 2, 5_000, 100)
    assert.deepEqual(
      (await levels()).filter(([scope]) => scope === 'agent:capped'),
      [
        ['agent:capped', 0.5],
        ['agent:capped', 0.8],
      ],
    )
  })

  await t.test('while calls in flight hold all of it the next one waits, and is then told to come again', async () => {
    const slow = [1, 2].map(() => ask(url, tight, { say: 100, waitMs: 4_000 }))
    await until('both at the provider', () => provider.books.filter(entry => entry.state === 'open').length >= 2)
    const third = await ask(url, tight, { say: 100 })
    assert.deepEqual([third.status, third.code], [429, 'budget_contended'])
    assert.ok(Number(third.headers['retry-after']) > 0)
    const waitedMs = third.endedAt - third.sentAt
    assert.ok(waitedMs > 1_000 && waitedMs < 3_900, `it waited ${waitedMs} ms`)
    assert.deepEqual(
      (await Promise.all(slow)).map(one => one.status),
      [200, 200],
    )
  })

  await t.test('for a team over all its agents', async () => {
    const made = await Promise.all(team.map(agent => drain(url, agent, () => usual(chance), soon(), { wide: 3 })))
    const billed = entriesOf(provider, made.flat()).reduce((sum, entry) => sum + costOf(entry), 0)
    assert.ok(billed <= 3_000_000, `${billed} nano-dollars were billed`)
    for (const tries of made) {
      assert.equal(tries.at(-1)?.code, 'budget_exceeded')
      assert.equal(tries.at(-1)?.error['scope'], 'team:crew')
    }
  })

  await t.test('does not stop a model without a price: its use is recorded, its cost is not', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => ask(url, mystery, { model: 'mystery-1', say: 50 })))
    assert.deepEqual(
      answers.map(one => one.status),
      [200, 200, 200],
    )
    const read = () => sql(stack, "SELECT outcome, output_tokens, cost_nano_usd FROM calls WHERE agent = 'mystery'")
    await until('its rows', async () => (await read()).length >= 3, 5_000, 100)
    for (const row of await read())
      assert.deepEqual(row, { outcome: 'success', output_tokens: 50, cost_nano_usd: null })
    const metrics = await (await fetch(`${url}/metrics`)).text()
    assert.match(metrics, /^sluice_unpriced_calls_total\{provider="secret"\} 3$/m)
  })

  await t.test('for as long as its window, and the next one opens by itself', async () => {
    assert.deepEqual([closed?.status, closed?.code], [402, 'budget_exceeded'])
    const opensAt = Date.parse(String(closed?.error['resets_at']))
    assert.ok(opensAt % 60_000 === 0 && opensAt - Date.now() <= 60_000, 'it says when')
    const billed = entriesOf(provider, spentWindow).reduce((sum, entry) => sum + costOf(entry), 0)
    assert.ok(billed <= 2_000_000 && billed > 1_500_000)
    await until('the next window', () => Date.now() >= opensAt, 61_000)
    const again = await ask(url, windowed, { say: 100 })
    assert.equal(again.status, 200)
  })
})

test(`a cap holds over three gateways (seed ${seed})`, async t => {
  const provider = await startProvider()
  t.after(provider.close)
  const capped = agentOf('capped', { budgets: [{ limitUsd: 0.01 }] })
  const others = [1, 2, 3, 4].map(i => agentOf(`other-${i}`))
  const stack = await startStack({
    config: configOf(provider.origin, [capped, ...others], {
      org: { budgets: [{ limitUsd: 0.03 }] },
      unpriced: 'refuse',
      providers: {
        scripted: scriptedAt(provider.origin),
        secret: { protocol: 'openai', baseUrl: `${provider.origin}/v1`, apiKey: 'sk-none', models: ['mystery*'] },
      },
      routes: [],
    }),
    env: { SLUICE_WORKERS: '3' },
  })
  t.after(stack.close)
  const url = stack.told('Gateway')
  const chance = chanceOf(seed + 1)

  await t.test('under many calls at once, to the nano-dollar, and can be used to its end', async t => {
    const flooded = await flood({ url, capped, others, calls, chance })
    const found = judge(provider, flooded, capNanoUsd)
    t.diagnostic(JSON.stringify(found))
    assertHeld(found)
    await assertBooked(stack, capped.name, found.billed)
  })

  await t.test('lets no model without a price pass where the policy refuses such', async () => {
    const answer = await ask(url, capped, { model: 'mystery-1' })
    assert.deepEqual([answer.status, answer.code], [403, 'model_not_allowed'])
    assert.equal(provider.books.filter(entry => entry.call === answer.call).length, 0)
  })

  await t.test('for the organisation over all its agents', async () => {
    const made = await Promise.all(
      others.map(agent => drain(url, agent, () => usual(chance), soon() + 10_000, { wide: 3 })),
    )
    assert.ok(provider.billed() <= 30_000_000, `${provider.billed()} nano-dollars were billed`)
    assert.ok(provider.billed() >= 0.95 * 30_000_000, `only ${provider.billed()} nano-dollars could be used`)
    for (const tries of made) {
      assert.equal(tries.at(-1)?.code, 'budget_exceeded')
      assert.equal(tries.at(-1)?.error['scope'], 'org')
    }
  })
})

function assertHeld(found: ReturnType<typeof judge>): void {
  assert.ok(found.billed <= capNanoUsd, `${found.billed} nano-dollars were billed`)
  assert.ok(found.billed >= 0.95 * capNanoUsd, `only ${found.billed} nano-dollars could be used`)
  assert.ok(found.refused > 0, 'some were refused')
  assert.deepEqual([found.phantoms, found.wrong, found.unended, found.strangersRefused], [[], [], [], 0])
}

/** The tables say what the provider's books say. */
async function assertBooked(stack: Stack, agent: string, billed: number): Promise<void> {
  const booked = async () => {
    const [row] = await sql<{ cost: number }>(
      stack,
      `SELECT sum(cost_nano_usd) AS cost FROM calls WHERE agent = '${agent}'`,
    )
    return row?.cost
  }
  await until('the rows', async () => (await booked()) === billed, 10_000, 100).catch(() => {})
  assert.equal(await booked(), billed)
  const violated = await sql(stack, "SELECT event_id FROM events WHERE type = 'admission.bound_violated'")
  assert.deepEqual(violated, [])
}
