import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EventLog } from '../../services/io/log/port.ts'
import { eventsOf, startFleet } from '../runs/fleet.ts'
import { at, send, startTestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { verified } from '../support/verified.ts'

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

test('an answer in the background that ends at another gateway is paid for once, where it began, through restarts', async t => {
  const fleet = await startFleet(t, { gateways: 2, config: { org: { budgets: [{ limitUsd: 5 }] } } })
  const body = { model: 'simulator', input: 'hello', background: true, max_output_tokens: 200 }
  const begin = async () => {
    const begun = await fleet.call(null, { route: '/v1/responses', body })
    assert.equal(begun.status, 200, begun.text)
    return String(JSON.parse(begun.text).id)
  }
  const endElsewhere = async (id: string) => {
    const answer = await send(`${fleet.urls[1]}/v1/responses/${id}`, {
      headers: { authorization: `Bearer ${fleet.key}` },
    })
    assert.equal(JSON.parse(answer.text).status, 'completed', answer.text)
  }
  const standing = async () => {
    const { json } = await fleet.ask('/admin/budgets')
    return at(json, 'budgets', 0) as { readonly spent_nano_usd: number; readonly held_nano_usd: number }
  }
  const costs = async () =>
    (await eventsOf(fleet.log)).flatMap(event => (event.type === 'llm.completed' ? [event.cost_nano_usd ?? 0] : []))
  const paid = async (calls: number) => {
    await until(`${calls} calls to be paid for`, async () => {
      const [told, { spent_nano_usd, held_nano_usd }] = [await costs(), await standing()]
      return told.length === calls && held_nano_usd === 0 && spent_nano_usd === told.reduce((sum, one) => sum + one, 0)
    })
    assert.deepEqual(await differences(fleet.log), [])
  }

  await endElsewhere(await begin())
  await paid(1)
  await fleet.restart()
  await paid(1)
  // The life that let it through is over, and has booked it at its bound.
  const id = await begin()
  await fleet.restart()
  assert.ok((await standing()).spent_nano_usd > ((await costs())[0] ?? 0))
  await endElsewhere(id)
  await paid(2)
  await fleet.restart()
  await paid(2)
})

/** What a proof of the books finds. */
async function differences(log: EventLog): Promise<readonly unknown[]> {
  const checks = await verified(log)
  return checks.flatMap(check => check.first)
}
