import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { at, send } from '../support/gateway.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

test('a raised cap works at once, in the middle of its window, and what was spent stays spent', async t => {
  const key = mintAgentKey()
  const policy = (limitUsd: number) => `agents:
  writer: { keys: ["sha256:${hashOfKey(key)}"], budgets: [{ limitUsd: ${limitUsd}, window: 1d }] }
`
  const stack = await startStack({ roles: ['gateway', 'enforcer'], config: policy(0.00001) })
  t.after(() => stack.close())
  const file = path.join(stack.dataDir, 'policy.yaml')
  const apply = async (limitUsd: number) => {
    fs.writeFileSync(file, policy(limitUsd))
    const { code, stderr } = await stack.cli('apply', '-f', file)
    assert.equal(code, 0, stderr)
  }
  const call = async () => {
    const { status, text } = await send(`${stack.told('Gateway')}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: 'simulator', max_tokens: 20, messages: [{ role: 'user', content: 'Hello' }] }),
    })
    const error = at(JSON.parse(text), 'error')
    return { status, code: at(error, 'code'), spent: Number(at(error, 'spent_nano_usd') ?? 0), text }
  }

  // A call's bound is some 2,100 tokens in and 20 out: about $0.0011.
  const small = await call()
  assert.equal(small.status, 402, small.text)
  await apply(0.01)
  const since = performance.now()
  await until('a call that fits', async () => (await call()).status === 200, 5_000)
  const tookMs = performance.now() - since
  assert.ok(tookMs < 1_000, `took ${Math.round(tookMs)} ms`)
  for (let i = 0; i < 5; i++) assert.equal((await call()).status, 200)

  await apply(0.00001)
  const lowered = await until(
    'a refusal',
    async () => {
      const answer = await call()
      return answer.status === 402 ? answer : null
    },
    5_000,
  )
  assert.ok(lowered !== null)
  assert.equal(lowered.code, 'budget_exceeded')
  assert.ok(lowered.spent > 0, lowered.text)
  await apply(1)
  await until('a call that fits again', async () => (await call()).status === 200, 5_000)
})
