import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import type { LlmCompleted } from '../../schemas/llm.ts'
import { at, send, sse, startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import {
  answersJson,
  breaksStream,
  fails,
  neverEnds,
  redirects,
  resetsAtOnce,
  streams,
} from '../support/upstream-replies.ts'

const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'made-up-1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there.' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 },
}
const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'made-up-1', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
const usageChunk = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'made-up-1', choices: [], usage: completion.usage })}\n\n`
const done = 'data: [DONE]\n\n'

const prices = { 'made-up*': { input: 1, output: 2 } }
const one = (origin: string) => ({
  providers: { up: { protocol: 'openai', baseUrl: `${origin}/v1`, apiKey: 'sk-provider', prices } },
})
const question = (more: object = {}) =>
  JSON.stringify({ model: 'made-up', messages: [{ role: 'user', content: 'hi' }], ...more })
const completed = (events: readonly Event[]) =>
  events.filter((event): event is Event & LlmCompleted => event.type === 'llm.completed')
const isCompleted = (n: number) => (events: readonly Event[]) => completed(events).length >= n

test('a request and its answer pass byte for byte, and the call is on the log with its cost', async t => {
  const up = await startUpstream()
  t.after(up.close)
  up.always(answersJson(completion))
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  const body = `{ "model" : "made-up",\n  "messages": [{"role":"user","content":"h\\u00e9 \\ud83d\\ude00"}] , "max_tokens": 5 }\n`
  const answer = await send(`${gateway.url}/v1/chat/completions?trace=1&key=${gateway.key}`, {
    body,
    headers: {
      'x-sluice-task': 'greet',
      baggage: 'a=b',
      traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      'OpenAI-Beta': 'x',
    },
  })
  assert.equal(answer.status, 200)
  assert.equal(answer.text, JSON.stringify(completion))
  assert.equal(answer.headers['x-sluice-cost-usd'], '0.000016')
  assert.equal(answer.headers['x-sluice-provider'], 'up')
  assert.equal(answer.headers['x-sluice-run-id'], 'a'.repeat(32))
  assert.equal(answer.headers['x-sluice-step'], '1')

  const seen = await up.request(1)
  assert.equal(seen.body.toString(), body)
  assert.equal(seen.path, '/v1/chat/completions?trace=1')
  assert.equal(seen.header('authorization'), 'Bearer sk-provider')
  assert.equal(seen.header('openai-beta'), 'x')
  assert.ok(seen.header('traceparent'))
  const told = JSON.stringify(seen.rawHeaders) + seen.path
  assert.ok(!told.includes(gateway.key) && !/x-sluice|baggage/i.test(told), 'identity or key reached the provider')

  const events = await gateway.facts(isCompleted(1))
  assert.deepEqual(
    events.map(event => event.type),
    ['run.started', 'admission.granted', 'llm.completed'],
  )
  const [row] = completed(events)
  assert.partialDeepStrictEqual(row, {
    agent: 'tester',
    task: 'greet',
    model: 'made-up-1',
    model_requested: 'made-up',
    provider: 'up',
    protocol: 'openai',
    operation: 'chat',
    input_tokens: 10,
    output_tokens: 3,
    usage_source: 'provider',
    cost_nano_usd: 16_000,
    outcome: 'success',
    http_status: 200,
    finish_reason: 'stop',
    attempts: 1,
    step: 1,
    run_source: 'traceparent',
    request_id: answer.headers['x-sluice-request-id'],
  })
  assert.ok(!JSON.stringify(events).includes(gateway.key), 'a key stands on the log')
})

test('the admission is on the log before the upstream is called', async t => {
  const up = await startUpstream()
  t.after(up.close)
  let known: readonly Event[] = []
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  up.always(async () => {
    known = await gateway.facts(events => events.some(event => event.type === 'admission.granted'))
    return answersJson(completion)
  })
  await send(`${gateway.url}/v1/chat/completions`, {
    body: question(),
    headers: { authorization: `Bearer ${gateway.key}` },
  })
  assert.deepEqual(
    known.map(event => event.type),
    ['run.started', 'admission.granted'],
  )
})

test('usage of a stream is asked for on the client’s behalf, and its chunk is taken out again', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const plain = [chunk({ role: 'assistant' }), chunk({ content: 'Hel' }), chunk({ content: 'lo' }), chunk({}, 'stop')]
  up.always(request =>
    streams(request.body.includes('include_usage') ? [...plain, usageChunk, done] : [...plain, done]),
  )
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  const headers = { authorization: `Bearer ${gateway.key}` }
  const silent = await send(`${gateway.url}/v1/chat/completions`, { body: question({ stream: true }), headers })
  const asked = await send(`${gateway.url}/v1/chat/completions`, {
    body: question({ stream: true, stream_options: { include_usage: true } }),
    headers,
  })
  assert.equal(silent.text, [...plain, done].join(''))
  assert.equal(asked.text, [...plain, usageChunk, done].join(''))
  const rows = completed(await gateway.facts(isCompleted(2)))
  for (const row of rows)
    assert.partialDeepStrictEqual(row, {
      input_tokens: 10,
      output_tokens: 3,
      usage_source: 'provider',
      stream: true,
      finish_reason: 'stop',
    })
})

test('every refusal is told in the shape of the protocol at whose door it happened', async t => {
  const gateway = await startTestGateway(t, {
    config: { agents: { narrow: { models: { allow: ['simulator'] }, keys: [] } } },
  })
  const doors = [
    { path: '/v1/chat/completions', code: ['error', 'code'], shape: ['error', 'type'] },
    { path: '/v1/messages', code: ['error', 'code'], shape: ['type'] },
    {
      path: '/v1beta/models/x:generateContent',
      code: ['error', 'details', 0, 'reason'],
      shape: ['error', 'status'],
    },
  ]
  for (const door of doors) {
    const nobody = await send(gateway.url + door.path, { body: question() })
    assert.equal(nobody.status, 401)
    assert.equal(at(JSON.parse(nobody.text), ...door.code), 'unauthenticated')
    assert.equal(nobody.headers['x-should-retry'], 'false')
    const broken = await send(gateway.url + door.path, { body: '{"model":', headers: { 'x-api-key': gateway.key } })
    assert.equal(broken.status, 400)
    assert.equal(at(JSON.parse(broken.text), ...door.code), 'invalid_request')
    assert.ok(at(JSON.parse(broken.text), ...door.shape))
  }
  const unknown = await send(`${gateway.url}/v1/chat/completions`, {
    body: question(),
    headers: { 'x-api-key': gateway.key },
  })
  assert.equal(unknown.status, 400)
  assert.match(unknown.text, /made-up/)
  const nowhere = await send(`${gateway.url}/nobody/v1/chat/completions`, {
    body: question(),
    headers: { 'x-api-key': gateway.key },
  })
  assert.equal(nowhere.status, 404)
})

test('a model outside the agent’s list is refused, and the refusal has its row', async t => {
  const gateway = await startTestGateway(t, { config: { agents: {} } })
  await gateway.close()
  const narrow = await startTestGateway(t, {
    key: gateway.key,
    config: {
      agents: {
        tester: { keys: [await hashed(gateway.key)], models: { allow: ['simulator'], deny: ['simulator-big'] } },
      },
    },
  })
  const headers = { authorization: `Bearer ${gateway.key}` }
  const no = await send(`${narrow.url}/v1/chat/completions`, { body: question({ model: 'simulator-big' }), headers })
  assert.equal(no.status, 403)
  assert.equal(JSON.parse(no.text).error.code, 'model_not_allowed')
  const yes = await send(`${narrow.url}/v1/chat/completions`, { body: question({ model: 'simulator' }), headers })
  assert.equal(yes.status, 200)
  const events = await narrow.facts(isCompleted(1))
  const refused = events.find(event => event.type === 'admission.refused')
  assert.partialDeepStrictEqual(refused, {
    agent: 'tester',
    reason: 'model_not_allowed',
    outcome: 'blocked',
    http_status: 403,
    model_requested: 'simulator-big',
  })
})

test('what fails before the first byte is tried elsewhere; when all fail the client hears what was tried', async t => {
  const [a, b] = [await startUpstream(), await startUpstream()]
  t.after(a.close)
  t.after(b.close)
  const config = {
    providers: {
      a: { protocol: 'openai', baseUrl: `${a.origin}/v1`, apiKey: 'ka' },
      b: { protocol: 'openai', baseUrl: `${b.origin}/v1`, apiKey: 'kb', prices },
    },
    routes: [
      {
        models: ['made-up'],
        targets: [{ provider: 'a' }],
        fallback: [{ provider: 'b', model: 'other/made-up' }],
        retry: { attempts: 2, baseMs: 1, maxMs: 5 },
      },
    ],
  }
  const gateway = await startTestGateway(t, { config })
  const headers = { authorization: `Bearer ${gateway.key}` }
  a.next(fails(503, { error: { message: 'down', type: 'server_error' } }), resetsAtOnce())
  b.next(answersJson(completion))
  const moved = await send(`${gateway.url}/v1/chat/completions`, { body: question(), headers })
  assert.equal(moved.status, 200)
  assert.equal(moved.headers['x-sluice-provider'], 'b')
  assert.equal(moved.headers['x-sluice-attempts'], '3')
  assert.equal(JSON.parse((await b.request(1)).body.toString()).model, 'other/made-up')

  a.next(redirects('http://127.0.0.1:1/'), fails(500, {}))
  b.next(fails(529, { error: { type: 'overloaded_error', message: '' } }))
  const failed = await send(`${gateway.url}/v1/chat/completions`, { body: question(), headers })
  assert.equal(failed.status, 502)
  const { error } = JSON.parse(failed.text)
  assert.equal(error.code, 'upstream_unavailable')
  assert.deepEqual(
    error.attempts.map((attempt: unknown) => [at(attempt, 'provider'), at(attempt, 'status')]),
    [
      ['a', 302],
      ['a', 500],
      ['b', 529],
    ],
  )

  const rows = completed(await gateway.facts(isCompleted(2)))
  assert.partialDeepStrictEqual(rows[0], {
    outcome: 'success',
    attempts: 3,
    provider: 'b',
    model_requested: 'made-up',
    model: 'made-up-1',
  })
  assert.partialDeepStrictEqual(rows[1], { outcome: 'error', http_status: 502, upstream_status: 529, attempts: 3 })
})

test('an upstream’s own refusal passes untouched and is not retried', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const no = { error: { message: 'bad tool', type: 'invalid_request_error', param: null, code: null } }
  up.always(fails(400, no))
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  const answer = await send(`${gateway.url}/v1/chat/completions`, {
    body: question(),
    headers: { authorization: `Bearer ${gateway.key}` },
  })
  assert.equal(answer.status, 400)
  assert.equal(answer.text, JSON.stringify(no))
  const [row] = completed(await gateway.facts(isCompleted(1)))
  assert.partialDeepStrictEqual(row, {
    outcome: 'error',
    error_type: 'invalid_request_error',
    http_status: 400,
    attempts: 1,
  })
  assert.equal(row?.cost_nano_usd ?? 0, 0)
})

test('a stream that breaks off ends with the protocol’s error event, and what passed is paid for', async t => {
  const up = await startUpstream()
  t.after(up.close)
  up.always(breaksStream([chunk({ role: 'assistant' }), chunk({ content: 'one two three four five' })]))
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  const answer = await send(`${gateway.url}/v1/chat/completions`, {
    body: question({ stream: true }),
    headers: { authorization: `Bearer ${gateway.key}` },
  })
  assert.equal(answer.status, 200)
  const last = sse(answer.text).at(-1)
  assert.equal(at(last, 'error', 'code'), 'upstream_unavailable')
  const [row] = completed(await gateway.facts(isCompleted(1)))
  assert.partialDeepStrictEqual(row, { outcome: 'error', usage_source: 'estimated' })
  assert.ok((row?.output_tokens ?? 0) >= 5 && (row?.input_tokens ?? 0) > 0 && (row?.cost_nano_usd ?? 0) > 0)
})

test('a client that leaves ends the upstream call, and what was used is settled', async t => {
  const up = await startUpstream()
  t.after(up.close)
  up.always(neverEnds([chunk({ role: 'assistant' }), chunk({ content: 'word '.repeat(20) })]))
  const gateway = await startTestGateway(t, { config: one(up.origin) })
  await send(`${gateway.url}/v1/chat/completions`, {
    body: question({ stream: true }),
    headers: { authorization: `Bearer ${gateway.key}` },
    leaveWhen: sofar => sofar.includes('word word'),
  })
  assert.equal(await (await up.request(1)).ending, 'left')
  const [row] = completed(await gateway.facts(isCompleted(1)))
  assert.partialDeepStrictEqual(row, { outcome: 'cancelled', reason: 'client_left', usage_source: 'estimated' })
  assert.ok((row?.output_tokens ?? 0) >= 20)
})

test('a background answer is booked once, when its end is seen, under the call that began it', async t => {
  const gateway = await startTestGateway(t)
  const headers = { authorization: `Bearer ${gateway.key}` }
  const begun = await send(`${gateway.url}/v1/responses`, {
    body: JSON.stringify({ model: 'simulator', input: 'hello', background: true }),
    headers,
  })
  const { id, status } = JSON.parse(begun.text)
  assert.equal(status, 'queued')
  for (let i = 0; i < 3; i++)
    assert.equal(JSON.parse((await send(`${gateway.url}/v1/responses/${id}`, { headers })).text).status, 'completed')
  const events = await gateway.facts(isCompleted(1))
  assert.equal(completed(events).length, 1)
  assert.equal(completed(events)[0]?.request_id, begun.headers['x-sluice-request-id'])
})

test('calls that a crash left open are ended by the next life, once', async t => {
  const up = await startUpstream()
  t.after(up.close)
  up.always(neverEnds([chunk({ content: 'x' })]))
  const first = await startTestGateway(t, { config: one(up.origin) })
  const controller = send(`${first.url}/v1/chat/completions`, {
    body: question({ stream: true, max_tokens: 77 }),
    headers: { authorization: `Bearer ${first.key}` },
  }).catch(() => null)
  await first.facts(events => events.some(event => event.type === 'admission.granted'))
  await up.request(1)
  // As after kill -9: the log is closed under a call that is still open, so its ending is never written.
  await first.log.close()
  const second = await startTestGateway(t, { config: one(up.origin), dataDir: first.dataDir, key: first.key })
  const ended = completed(await second.facts(isCompleted(1)))
  assert.equal(ended.length, 1)
  assert.partialDeepStrictEqual(ended[0], {
    outcome: 'error',
    reason: 'gateway_crashed',
    output_tokens: 77,
    usage_source: 'estimated',
  })
  await second.close()
  const third = await startTestGateway(t, { config: one(up.origin), dataDir: first.dataDir, key: first.key })
  assert.equal(completed(await third.facts(isCompleted(1))).length, 1)
  await first.gateway.close(0).catch(() => {})
  await controller
})

const hashed = async (key: string) => `sha256:${(await import('../../services/io/keys/keys.ts')).hashOfKey(key)}`
