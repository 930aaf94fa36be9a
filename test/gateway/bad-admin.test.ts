import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, send, startTestGateway } from '../support/gateway.ts'
import { request, talk } from '../support/raw.ts'

test('the admin routes say what is wrong, and only the admin token opens them', async t => {
  const logged: string[] = []
  const gateway = await startTestGateway(t, { logged })
  const admin = { authorization: `Bearer ${gateway.adminToken}` }
  const bodies: readonly {
    readonly body: string
    readonly status?: number
    readonly headers?: Record<string, string>
  }[] = [
    { body: '' },
    { body: '{' },
    { body: 'null' },
    { body: '[]' },
    { body: '{"agent":7}' },
    { body: '{"agent":""}' },
    { body: '{"agent":"two words"}' },
    { body: '{"agent":"../../etc"}' },
    { body: `{"agent":"${'a'.repeat(200)}"}` },
    { body: '{"agent":"a","admin":true}' },
    { body: '{"__proto__":{"agent":"a"}}' },
    { body: '['.repeat(50_000) },
    { body: `{"agent":"${'a'.repeat(100_000)}"}`, status: 413 },
    { body: '{"agent":"a"}', headers: { 'content-type': 'nonsense' }, status: 415 },
  ]
  for (const { body, status = 400, headers } of bodies) {
    const answer = await send(`${gateway.url}/admin/keys`, { method: 'POST', body, headers: { ...admin, ...headers } })
    const where = `${body.slice(0, 40)}: ${answer.text.slice(0, 300)}`
    assert.equal(answer.status, status, where)
    assert.equal(typeof at(JSON.parse(answer.text), 'error', 'message'), 'string', where)
  }
  for (const id of ['unknown', '__proto__', '%00', 'a'.repeat(90), '*'])
    assert.equal((await send(`${gateway.url}/admin/keys/${id}`, { method: 'DELETE', headers: admin })).status, 404, id)
  for (const token of ['', 'Bearer', 'Bearer ', `Bearer ${gateway.adminToken}x`, `Basic ${gateway.adminToken}`]) {
    const answer = await send(`${gateway.url}/admin/keys`, { headers: { authorization: token } })
    assert.equal(answer.status, 401, token)
    assert.equal(at(JSON.parse(answer.text), 'error', 'code'), 'unauthenticated')
  }
  // The token may not come in a query, where it would end up in other people's logs.
  assert.equal((await send(`${gateway.url}/admin/keys?key=${gateway.adminToken}`)).status, 401)
  const slow = request(
    'POST /admin/keys HTTP/1.1',
    ['host: x', `authorization: ${admin.authorization}`, 'content-length: 50'],
    '{',
  )
  assert.deepEqual((await talk(gateway.port, [slow, 'hangUp'])).statuses, [400])
  assert.equal((await send(`${gateway.url}/admin/keys`, { headers: admin })).status, 200)
  assert.ok(!logged.join('').includes(gateway.adminToken))
})
