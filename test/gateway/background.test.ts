import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startFleet } from '../runs/fleet.ts'
import { send, startTestGateway } from '../support/gateway.ts'

test('asking for an answer in the background is no call that a restart has to end', async t => {
  const first = await startTestGateway(t)
  const headers = { authorization: `Bearer ${first.key}` }
  const begun = await send(`${first.url}/v1/responses`, {
    body: JSON.stringify({ model: 'simulator', input: 'hello', background: true }),
    headers,
  })
  const { id } = JSON.parse(begun.text)
  for (let i = 0; i < 3; i++) await send(`${first.url}/v1/responses/${id}`, { headers })
  await first.facts(events => events.filter(event => event.type === 'llm.completed').length === 1)
  await first.close()

  const second = await startTestGateway(t, { dataDir: first.dataDir, key: first.key })
  const hello = { model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }
  await send(`${second.url}/v1/chat/completions`, { body: JSON.stringify(hello), headers })
  const isLater = (event: { readonly type: string; readonly operation?: unknown }) =>
    event.type === 'llm.completed' && event.operation === 'chat'
  const events = await second.facts(all => all.filter(isLater).length >= 2)
  const crashed = events.filter(event => 'reason' in event && event.reason === 'gateway_crashed')
  assert.deepEqual(crashed, [])
})

test('an answer in the background can be asked for under a cap, also where what has no price is refused', async t => {
  const fleet = await startFleet(t, { config: { org: { budgets: [{ limitUsd: 5 }] }, unpriced: 'refuse' } })
  const body = { model: 'simulator', input: 'hello', background: true }
  const begun = await fleet.call(null, { route: '/v1/responses', body })
  assert.equal(begun.status, 200, begun.text)
  const { id } = JSON.parse(begun.text)
  const headers = { authorization: `Bearer ${fleet.key}` }
  const answer = await send(`${fleet.urls[0]}/v1/responses/${id}`, { headers })
  assert.equal(JSON.parse(answer.text).status, 'completed', answer.text)
})
