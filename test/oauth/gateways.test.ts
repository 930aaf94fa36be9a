import assert from 'node:assert/strict'
import { test } from 'node:test'
import { codeOf, startFleet } from '../runs/fleet.ts'
import { call, exchange, openRun, partsOf } from './asking.ts'

test('what one gateway signs opens the others at once, also when all of them have begun again', async t => {
  const fleet = await startFleet(t, { gateways: 2, mayDelegateTo: ['other'], enforcer: false })
  const [first = '', second = ''] = fleet.urls
  const run = await openRun(first, fleet.key)
  const here = await exchange(first, fleet.key, { agent: 'other', run_id: run })
  const there = await exchange(second, fleet.key, { agent: 'other', run_id: run })
  assert.notEqual(partsOf(here.token).header['kid'], partsOf(there.token).header['kid'])
  for (const { token, json } of [here, there])
    for (const url of [first, second]) {
      const answer = await call(url, token)
      assert.deepEqual([answer.status, answer.headers['x-sluice-run-id']], [200, json['run_id']])
    }
  await fleet.restart()
  for (const { token, json } of [here, there])
    for (const url of fleet.urls) {
      const answer = await call(url, token)
      assert.deepEqual([answer.status, answer.headers['x-sluice-run-id']], [200, json['run_id']])
    }
  const told = await fleet.ask(`/v1/runs/${here.json['run_id']}`)
  assert.partialDeepStrictEqual(told.json, { parentRunId: run, rootRunId: run, agent: 'other' })
})

test('a sub-agent spends the money of the run that delegated to it, and stops with it', async t => {
  const fleet = await startFleet(t, { gateways: 2, mayDelegateTo: ['other'] })
  const [first = '', second = ''] = fleet.urls
  const run = await openRun(first, fleet.key, { budgets: [{ limitUsd: 0.001 }], maxChildren: 2 })
  const { token } = await exchange(first, fleet.key, { agent: 'other', run_id: run })
  let spending = await call(second, token)
  for (let calls = 1; spending.status === 200 && calls < 60; calls++) spending = await call(second, token)
  assert.deepEqual([spending.status, codeOf(spending.text)], [402, 'budget_exceeded'])
  assert.equal(JSON.parse(spending.text).error.scope, `run:${run}`)

  const free = await openRun(first, fleet.key, { maxChildren: 1 })
  const sub = await exchange(first, fleet.key, { agent: 'other', run_id: free })
  assert.equal((await call(second, sub.token)).status, 200)
  const more = await exchange(first, fleet.key, { agent: 'other', run_id: free })
  assert.deepEqual([more.status, more.json['code']], [403, 'max_children_exceeded'])
  await fleet.ask(`/v1/runs/${free}/kill`, { key: fleet.key, body: {} })
  const killed = await call(first, sub.token)
  assert.deepEqual([killed.status, codeOf(killed.text)], [403, 'run_killed'])
})
