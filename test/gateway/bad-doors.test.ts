import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import { allDoors, doors } from '../support/doors.ts'
import { at, send, startTestGateway } from '../support/gateway.ts'
import { request, talk } from '../support/raw.ts'
import { until } from '../support/until.ts'
import { startUpstream } from '../support/upstream.ts'
import { answerHonestly, honest } from '../support/upstream-lies.ts'

const chat = doors[0]!
const completed = (events: readonly Event[]) => events.filter(event => event.type === 'llm.completed')

/** Written on the wire as they stand here: a URL parser would tidy them up. */
const paths = [
  '/',
  '//',
  '/v1',
  '/v1/',
  '/v1/..%2fadmin/keys',
  '/v1/../admin/keys',
  '/v1/%2e%2e/admin/keys',
  '//v1/chat/completions',
  '/v1//chat/completions',
  '/v1/./chat/completions',
  '/v1/chat/../chat/completions',
  '/v1/chat%2fcompletions',
  '/v1/chat/completions/',
  '/v1/chat/completions;a=b',
  '/v1/chat/completions%00',
  '/v1/chat/completions%0d%0aX-Injected:%20yes',
  '/V1/chat/completions',
  '/%',
  '/%zz',
  '/%c0%ae%c0%ae/',
  '/\\..\\',
  '/v1beta/models/..%2f..%2fsecret:generateContent',
  '/v1beta/models/..:generateContent',
  '/v1beta/models/%2e%2e:generateContent',
  '/v1beta/models/:generateContent',
  '/v1beta/models/a/b:generateContent',
  '/v1beta/models/made-up:steal',
  '/nobody/v1/chat/completions',
  '/up-openai',
  '/up-openai/',
  '/up-openai/v1/files',
  '/up-openai/../up-anthropic/v1/messages',
  '/up-gemini/v1beta/models/..%2f..%2fsecret:generateContent',
  '/__proto__/v1/chat/completions',
  '/constructor/v1/chat/completions',
  '/hasOwnProperty/v1/chat/completions',
  'http://127.0.0.1/v1/chat/completions',
  `/v1/${'a'.repeat(12_000)}`,
]

test('a path that is none of ours ends here, and none goes further than it says', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const logged: string[] = []
  const gateway = await startTestGateway(t, { logged, config: allDoors(up.origin) })
  answerHonestly(up)
  const post = (path: string, body: string) => {
    const headers = ['host: x', `x-api-key: ${gateway.key}`, `content-length: ${body.length}`, 'connection: close']
    const whole = request(`POST ${path} HTTP/1.1`, headers, body)
    return talk(gateway.port, [whole]).catch(error => assert.fail(`${path}: ${error}`))
  }
  for (const path of paths) {
    const heard = await post(path, chat.body(false))
    assert.deepEqual(heard.statuses, [404], `${path}: ${heard.text.slice(0, 300)}`)
    const { error } = JSON.parse(heard.text.slice(heard.text.indexOf('\r\n\r\n') + 4)) as {
      error: Record<string, unknown>
    }
    assert.equal(error['code'], 'not_found', path)
    assert.ok(String(error['message']).length < 300 && !/^x-injected/im.test(heard.text), path)
  }
  assert.equal(up.arrived.length, 0, 'one went upstream')

  // What is odd but a door: the path goes upstream as it was written.
  up.always(honest(doors[3]!, false))
  for (const path of ['/v1beta/models/made-up%3AgenerateContent', '/v1beta/models/made-up%252e%252e:generateContent']) {
    const heard = await post(path, doors[3]!.body(false))
    assert.deepEqual(heard.statuses, [200], `${path}: ${heard.text.slice(0, 300)}`)
    assert.equal(up.arrived.at(-1)?.path, path)
  }
  assert.deepEqual(logged, [])
})

test('a method that a door does not know is no way in', async t => {
  const gateway = await startTestGateway(t)
  const methods = ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND', 'QUERY', 'MKCOL', 'PURGE']
  for (const method of methods)
    for (const door of doors) {
      if (method === 'GET' && door.name === 'gemini') continue // the door that tells of a model
      const answer = await send(gateway.url + door.path(false), { method, headers: { 'x-api-key': gateway.key } })
      assert.equal(answer.status, 404, `${method} ${door.name}`)
      if (method !== 'HEAD')
        assert.equal(at(JSON.parse(answer.text), 'error', 'code'), 'not_found', `${method} ${door.name}`)
      assert.equal(answer.headers['x-should-retry'], 'false')
      assert.equal((await send(gateway.url + door.path(false), { method })).status, 401, `${method} by a stranger`)
    }
})

test('an upgrade is answered as if it had not been asked for', async t => {
  const gateway = await startTestGateway(t)
  const body = '{"model":"simulator","messages":[{"role":"user","content":"hi"}]}'
  const asking = (protocol: string) => [
    'host: x',
    `x-api-key: ${gateway.key}`,
    'connection: upgrade',
    `upgrade: ${protocol}`,
  ]
  const socket = request('GET /v1/realtime?model=x HTTP/1.1', [
    ...asking('websocket'),
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
  ])
  const one = { enough: (heard: { readonly statuses: readonly number[] }) => heard.statuses.length > 0 }
  assert.deepEqual((await talk(gateway.port, [socket], one)).statuses, [404])
  const post = request('POST /v1/chat/completions HTTP/1.1', [...asking('h2c'), `content-length: ${body.length}`], body)
  assert.deepEqual((await talk(gateway.port, [post], one)).statuses, [200])
})

test('without a key that is known nobody learns more than that, at any door', async t => {
  const gateway = await startTestGateway(t)
  const wrong: readonly Record<string, string>[] = [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: `Basic ${Buffer.from(`x:${gateway.key}`).toString('base64')}` },
    { authorization: gateway.key },
    { 'x-api-key': '' },
    { 'x-api-key': 'slk_0_0' },
    { 'x-api-key': `${gateway.key}0` },
    { 'x-api-key': gateway.key.slice(0, -1) },
    { 'x-api-key': gateway.key.toUpperCase() },
    { 'x-api-key': '__proto__' },
    { 'x-goog-api-key': 'k'.repeat(8_000) },
    { authorization: `Bearer ${gateway.adminToken}` },
  ]
  for (const headers of wrong)
    for (const door of doors) {
      const answer = await send(gateway.url + door.path(false), { body: '{', headers })
      assert.equal(answer.status, 401, `${door.name} ${JSON.stringify(headers)}`)
      assert.ok(door.codeIn(JSON.parse(answer.text)) === 'unauthenticated' && door.ownShape(JSON.parse(answer.text)))
      assert.equal(answer.headers['x-should-retry'], 'false')
    }
  assert.deepEqual(await gateway.facts(), [], 'a stranger can fill the log')
  for (const name of ['key', '%6bey', 'k%65%79']) {
    const answer = await send(`${gateway.url}/v1/models?${name}=${gateway.key}`)
    assert.equal(answer.status, 200, name)
  }
})

test('a revoked key opens nothing any more', async t => {
  const gateway = await startTestGateway(t)
  const admin = { authorization: `Bearer ${gateway.adminToken}` }
  const made = await send(`${gateway.url}/admin/keys`, { body: '{"agent":"leaver"}', headers: admin })
  const { id, key } = JSON.parse(made.text) as { id: string; key: string }
  const models = () => send(`${gateway.url}/v1/models`, { headers: { 'x-api-key': key } })
  await until('the key to be known', async () => (await models()).status === 200)
  assert.equal((await send(`${gateway.url}/admin/keys/${id}`, { method: 'DELETE', headers: admin })).status, 200)
  const refused = await until(
    'the key to be unknown',
    async () => {
      const answer = await models()
      return answer.status === 401 ? answer : null
    },
    1_000,
  )
  assert.equal(at(JSON.parse(refused?.text ?? ''), 'error', 'code'), 'unauthenticated')
  // An agent's key, revoked or not, is no admin's.
  for (const token of [key, gateway.key, '', 'x'])
    for (const path of ['/admin/keys', '/%61dmin/keys', '/admin/keys?x=1'])
      assert.equal(
        (await send(gateway.url + path, { headers: { authorization: `Bearer ${token}` } })).status,
        401,
        path,
      )
})

test('a key is in no fact, no log line, no metric and no request to a provider, wherever it was put', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const logged: string[] = []
  const gateway = await startTestGateway(t, { logged, config: allDoors(up.origin) })
  answerHonestly(up)
  const { key } = gateway
  const places: readonly { readonly query?: string; readonly headers?: Record<string, string> }[] = [
    { query: `key=${key}` },
    { query: `a=b&key=${key}&c=d` },
    { query: `%6bey=${key}` },
    { query: `k%65y=${encodeURIComponent(key).replace('_', '%5f')}` },
    { headers: { authorization: `Bearer ${key}` } },
    {
      headers: {
        authorization: `bearer ${key}`,
        'x-api-key': key,
        'x-goog-api-key': key,
        'api-key': key,
        cookie: `key=${key}`,
      },
    },
    { query: `key=${key}`, headers: { 'x-api-key': key } },
  ]
  let calls = 0
  for (const { query, headers } of places)
    for (const door of doors) {
      const path = door.path(false)
      const answer = await send(`${gateway.url}${path}${query === undefined ? '' : `?${query}`}`, {
        body: door.body(false),
        headers: headers ?? {},
      })
      assert.equal(answer.status, 200, `${door.name} ${query} ${answer.text}`)
      calls++
      assert.ok(!JSON.stringify([answer.headers, answer.text]).includes(key))
      const seen = up.arrived.at(-1)
      assert.ok(
        seen !== undefined && !decodeURIComponent(seen.bytes.toString('latin1')).includes(key),
        `${door.name}: the key went upstream with ${query}`,
      )
      if (query?.startsWith('a=b')) assert.ok(seen.path.endsWith('?a=b&c=d'))
    }
  // And where things go wrong.
  const wrong = `slk_000000000000_${'f'.repeat(48)}`
  await send(`${gateway.url}/v1/chat/completions?key=${wrong}`, { body: chat.body(false) })
  await send(`${gateway.url}/nowhere?key=${key}`, { body: '{' })
  await send(`${gateway.url}/v1/chat/completions?key=${key}`, { body: '{"model":' })
  await send(`${gateway.url}/v1/chat/completions?key=${key}`, { body: '{"model":"unknown%"}' })
  const events = await gateway.facts(events => completed(events).length >= calls)
  const metrics = await send(`${gateway.url}/metrics`)
  for (const secret of [key, wrong, key.split('_')[2] ?? key, 'sk-provider'])
    assert.ok(!(JSON.stringify(events) + logged.join('') + metrics.text).includes(secret), 'a key was told')
})
