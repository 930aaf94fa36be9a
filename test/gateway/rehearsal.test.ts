import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rehearseKill } from '../../services/gateway/stops/rehearsal.ts'
import { startTestGateway } from '../support/gateway.ts'

test('a gateway has gone through a kill before its doors open, and nobody hears of it', async t => {
  const gateway = await startTestGateway(t)
  await rehearseKill()
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text()
  assert.doesNotMatch(metrics, /^sluice_kill/m)
  assert.deepEqual(await gateway.facts(), [])
})
