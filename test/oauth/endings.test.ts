import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { createKey, revokeKey } from '../../services/io/keys/keys.ts'
import { revokeSigner } from '../../services/io/keys/signers.ts'
import { codeOf } from '../runs/fleet.ts'
import { at, send } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { accessToken, call, exchange, openRun, partsOf, startDelegating } from './asking.ts'

/** "Within a second" is the promise; what it takes is some milliseconds. */
const soonMs = 1_000

test('a token ends at its time, is never given for longer than an hour, and outlives no token it came from', async t => {
  const { url, key } = await startDelegating(t)
  const long = await exchange(url, key, { agent: 'writer', expires_in: '86400' })
  assert.equal(long.json['expires_in'], 3_600)
  const short = await exchange(url, key, { agent: 'writer', expires_in: '3' })
  const next = await exchange(url, short.token, { agent: 'checker', expires_in: '600' })
  assert.ok(Number(next.json['expires_in']) <= 3)
  assert.ok(Number(partsOf(next.token).claims['exp']) <= Number(partsOf(short.token).claims['exp']))
  const both = [short.token, next.token]
  for (const token of both) assert.equal((await call(url, token)).status, 200)
  for (const token of both) {
    await until('the end', async () => (await call(url, token)).status !== 200, 5_000)
    const refused = await call(url, token)
    assert.deepEqual([refused.status, codeOf(refused.text)], [401, 'unauthenticated'])
    assert.equal(refused.headers['x-should-retry'], 'false')
  }
  const late = await exchange(url, short.token, { agent: 'checker' })
  assert.deepEqual([late.status, late.json['error'], late.json['code']], [400, 'invalid_request', 'unauthenticated'])
})

test('a token dies with the key that it was derived from, and with that of the agent that acts', async t => {
  const { url, log } = await startDelegating(t)
  const lead = await createKey(log, 'tester')
  const writer = await createKey(log, 'writer')
  await until('the keys', async () => (await call(url, writer.key)).status === 200, soonMs)
  const shown = { actor_token: writer.key, actor_token_type: accessToken }
  const proved = (await exchange(url, lead.key, shown)).token
  const named = (await exchange(url, lead.key, { agent: 'writer' })).token
  const next = (await exchange(url, proved, { agent: 'checker' })).token
  const statuses = async () => Promise.all([proved, named, next].map(async one => (await call(url, one)).status))
  assert.deepEqual(await statuses(), [200, 200, 200])
  await revokeKey(log, writer.id)
  await until('the end of the proved', async () => (await call(url, proved)).status === 401, soonMs)
  assert.deepEqual(await statuses(), [401, 200, 401])
  await revokeKey(log, lead.id)
  await until('the end of the other', async () => (await call(url, named)).status === 401, soonMs)
})

test('what the policy no longer lets an agent delegate is refused at the next call', async t => {
  const gateway = await startDelegating(t)
  const { url, key, adminToken } = gateway
  const { token } = await exchange(url, key, { agent: 'writer' })
  const next = (await exchange(url, token, { agent: 'checker' })).token
  const headers = { authorization: `Bearer ${adminToken}` }
  const apply = (agents: Record<string, object>) => {
    const objects = Object.fromEntries(Object.entries(agents).map(([name, agent]) => [`agent:${name}`, agent]))
    return send(`${url}/admin/policy`, { headers, body: JSON.stringify({ objects }) })
  }
  const keys = { keys: gateway.listedKeys }
  const all = { tester: { ...keys, mayDelegateTo: ['writer'] }, writer: { mayDelegateTo: ['checker'] }, checker: {} }
  assert.equal((await apply(all)).status, 200)
  assert.deepEqual([(await call(url, token)).status, (await call(url, next)).status], [200, 200])
  await apply({ ...all, tester: keys })
  for (const one of [token, next]) {
    const refused = await call(url, one)
    assert.deepEqual([refused.status, codeOf(refused.text)], [403, 'delegation_not_allowed'])
  }
  await apply(all)
  assert.equal((await call(url, token)).status, 200)
  const { checker: _, ...others } = all
  await apply(others)
  assert.equal((await call(url, next)).status, 401, 'an agent that was removed does not act by a token either')
})

test('a signer that was revoked has signed nothing, and the next token has another', async t => {
  const { url, key, log } = await startDelegating(t)
  const first = await exchange(url, key, { agent: 'writer' })
  const signer = String(partsOf(first.token).header['kid'])
  assert.equal((await call(url, first.token)).status, 200)
  assert.equal(await revokeSigner(log, 'f'.repeat(32)), false)
  assert.equal(await revokeSigner(log, signer), true)
  await until('the end', async () => (await call(url, first.token)).status === 401, soonMs)
  const second = await exchange(url, key, { agent: 'writer' })
  assert.notEqual(partsOf(second.token).header['kid'], signer)
  assert.equal((await call(url, second.token)).status, 200)
})

test('the key of a directory is the same after a restart, and nobody else can read it', async t => {
  const gateway = await startDelegating(t)
  const { token } = await exchange(gateway.url, gateway.key, { agent: 'writer' })
  const file = path.join(gateway.dataDir, 'token-key.json')
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.equal(createPrivateKey(JSON.parse(fs.readFileSync(file, 'utf8')).privateKey).asymmetricKeyType, 'ed25519')
  await gateway.close()
  const again = await startDelegating(t, { dataDir: gateway.dataDir, key: gateway.key })
  assert.equal((await call(again.url, token)).status, 200)
  const next = await exchange(again.url, again.key, { agent: 'writer' })
  assert.equal(partsOf(next.token).header['kid'], partsOf(token).header['kid'])
})

test('a token works in its run and below it, and nowhere else, whatever is asked for', async t => {
  const { url, key, writerKey } = await startDelegating(t)
  const run = await openRun(url, key)
  const { token, json } = await exchange(url, key, { agent: 'writer', run_id: run })
  const own = String(json['run_id'])
  const elsewhere = await openRun(url, writerKey)
  const headers = { authorization: `Bearer ${token}` }

  const refused = [
    await call(url, token, { headers: { 'x-sluice-run-id': elsewhere } }),
    await call(url, token, { headers: { 'x-sluice-run-id': run } }),
    await call(url, token, { headers: { 'x-sluice-run-id': 'new-1', 'x-sluice-parent-run-id': elsewhere } }),
    await call(url, token, { headers: { 'x-sluice-run-id': 'new-2', 'x-sluice-parent-run-id': 'unheard-of' } }),
    await send(`${url}/v1/runs`, { headers, body: JSON.stringify({ parentRunId: elsewhere }) }),
  ]
  for (const { status, text } of refused)
    assert.deepEqual([status, codeOf(text)], [403, 'delegation_not_allowed'], text)
  const foreign = await send(`${url}/v1/runs/${elsewhere}/kill`, { headers, body: '{}' })
  assert.equal(foreign.status, 404)
  const report = JSON.stringify([
    { id: 'a', type: 'tool.called', tool: 'search', run_id: elsewhere },
    { id: 'b', type: 'tool.called', tool: 'search' },
  ])
  const results = JSON.parse((await send(`${url}/v1/events`, { headers, body: report })).text).results
  assert.deepEqual([results[0].reason, results[1].run_id], ['delegation_not_allowed', own])

  // Weaker signs give way to the token; a name of its own stands below it.
  const trace = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, baggage: 'sluice.run.id=bag' }
  assert.equal((await call(url, token, { headers: trace })).headers['x-sluice-run-id'], own)
  assert.equal((await call(url, token, { headers: { 'x-sluice-run-id': 'mine' } })).status, 200)
  const mine = JSON.parse((await send(`${url}/v1/runs/mine`, { headers })).text)
  assert.deepEqual([mine.parentRunId, mine.rootRunId], [own, run])
  const opened = JSON.parse((await send(`${url}/v1/runs`, { headers, body: '{"task":"part"}' })).text)
  assert.equal(opened.parentRunId, own)
  assert.equal((await send(`${url}/v1/runs/${own}/kill`, { headers, body: '{}' })).status, 202)
  const dead = await call(url, token)
  assert.deepEqual([dead.status, codeOf(dead.text)], [403, 'run_killed'])
  const renewed = await exchange(url, token, { agent: 'checker' })
  assert.deepEqual([renewed.status, renewed.json['code']], [403, 'run_killed'])
})

test('who is stopped does not go on through those that it delegates to', async t => {
  const { url, key, adminToken } = await startDelegating(t)
  const { token } = await exchange(url, key, { agent: 'writer' })
  const admin = { headers: { authorization: `Bearer ${adminToken}` }, body: '{}' }
  await send(`${url}/admin/scopes/agent:tester/kill`, admin)
  assert.equal(codeOf((await call(url, token)).text), 'run_killed')
  assert.equal((await exchange(url, token, { agent: 'checker' })).json['code'], 'run_killed')
})

test('a listed key that looks like a token is a key', async t => {
  const { url, key } = await startDelegating(t, { key: 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0ZXIifQ.' })
  assert.deepEqual([(await call(url, key)).status, (await call(url, key)).status], [200, 200])
  assert.equal((await call(url, `${key}x`)).status, 401)
  assert.equal((await exchange(url, key, { agent: 'writer' })).status, 200)
})

test('no token is in a log or on the log', async t => {
  const logged: string[] = []
  const gateway = await startDelegating(t, { logged })
  const { url, key } = gateway
  const { token } = await exchange(url, key, { agent: 'writer' })
  await call(url, token)
  await send(`${url}/v1/chat/completions?key=${token}`, { body: '{' })
  await exchange(url, `${token.slice(0, -4)}AAAA`, { agent: 'writer' })
  const facts = await gateway.facts(events => events.some(({ type }) => type === 'llm.completed'))
  const all = logged.join('') + JSON.stringify(facts)
  const [, claims = '', signature = ''] = token.split('.')
  assert.ok(!all.includes(claims) && !all.includes(signature) && !all.includes(key))
  assert.ok(at(facts, 0, 'id') !== undefined)
})
