import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BudgetNode } from '../../services/core/money/budget.ts'
import { openHabits } from '../../services/gateway/money/habits.ts'
import { heldTo, holdOf } from '../../services/gateway/money/hold.ts'
import { openPrices } from '../../services/gateway/money/prices.ts'
import type { Plan, Provider } from '../../services/gateway/policy/policies.ts'
import type { Ask } from '../../services/gateway/protocols/protocol.ts'
import type { Settled } from '../../services/gateway/settle.ts'

const ask: Ask = {
  model: 'm',
  stream: false,
  maxTokens: 4_096,
  choices: 1,
  previousResponseId: null,
  invalid: null,
}
const used = (outputTokens: number, more: Partial<Settled> = {}): Settled => ({
  outcome: 'success',
  reason: null,
  errorType: null,
  reading: null,
  usage: { input_tokens: 100, output_tokens: outputTokens, usage_source: 'provider' },
  ...more,
})
const most = { bytes: 400, choices: 1, inputTokens: 464, outputTokens: 4_096 }
const taught = (times: number, settled: Settled, agent = 'a', of: Ask = ask) => {
  const habits = openHabits()
  for (let i = 0; i < times; i++) habits.learn(agent, of, 400, settled)
  return (agent: string, of: Ask) => habits.expected(agent, of, most).outputTokens
}

test('what one agent used at one model with one limit says nothing of another', () => {
  const expected = taught(30, used(50))
  assert.equal(expected('a', ask), 63)
  assert.equal(expected('b', ask), 4_096)
  assert.equal(expected('a', { ...ask, model: 'n' }), 4_096)
  assert.equal(expected('a', { ...ask, maxTokens: 2_048 }), 4_096, 'its answers may be longer, or cut off')
  assert.equal(expected('a', { ...ask, maxTokens: null }), 4_096)
})

test('nothing is learned from calls that failed, were cut off, or of which the provider did not tell the use', () => {
  const estimated = { input_tokens: 100, output_tokens: 50, usage_source: 'estimated' } as const
  for (const taughtNothing of [
    used(0, { outcome: 'error' }),
    used(1, { outcome: 'cancelled' }),
    used(1, { outcome: 'killed' }),
    used(50, { usage: estimated }),
    used(50, { usage: { output_tokens: 50, usage_source: 'provider' } }),
  ])
    assert.equal(taught(30, taughtNothing)('a', ask), 4_096)
})

const node: BudgetNode = { node: 'org/life', scope: 'org', partition: 0, limitNanoUsd: 1e9, opensAt: 0, closesAt: null }
const planAt = (prices: Provider['prices']): Plan => {
  const provider = { name: 'p', baseUrl: 'http://127.0.0.1', prices } as Provider // what prices ask of it
  return {
    targets: [{ provider, model: null, timeoutMs: null, weight: 1 }],
    fallback: [],
    retry: { attempts: 1, baseMs: 1, maxMs: 1 },
    timeoutMs: 1,
  }
}

test('less is held where calls use less, at each cap alike, and the bound goes along; else nothing changes', () => {
  const prices = openPrices()
  const call = { operation: 'chat', ask, inputTokens: 464, nodes: [node, { ...node, node: 'agent:a/life' }], at: 0 }
  const plan = planAt(new Map([['m', { input: 1, output: 2 }]]))
  const whole = holdOf(prices, plan, call)
  assert.equal(whole.costNanoUsd, 464 * 1_000 + 4_096 * 2_000)
  const less = heldTo(prices, plan, call, whole, { inputTokens: 125, outputTokens: 63 })
  assert.equal(less.learned?.costNanoUsd, 125 * 1_000 + 63 * 2_000)
  assert.deepEqual(
    less.tolls.map(({ holdNanoUsd, boundNanoUsd }) => [holdNanoUsd, boundNanoUsd]),
    [1, 2].map(() => [251_000, whole.costNanoUsd]),
  )
  assert.deepEqual([less.outputTokens, less.limit], [4_096, null], 'the request is not limited to it')
  assert.equal(heldTo(prices, plan, call, whole, whole), whole)
  const free = holdOf(prices, planAt(new Map()), call)
  assert.equal(heldTo(prices, planAt(new Map()), call, free, { inputTokens: 1, outputTokens: 1 }), free)
})
