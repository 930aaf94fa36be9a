import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { callsOf, runsOf } from '../sdk/facts.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answersJson } from '../support/upstream-replies.ts'

const model = 'gpt-4.1'
const usage = { input_tokens: 100, output_tokens: 10, total_tokens: 110 }
const message = (id: string, text: string) => ({
  type: 'message',
  id,
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text, annotations: [] }],
})
const response = (id: string, more: object) => ({ id, object: 'response', model, status: 'completed', ...more })

async function staged(t: TestContext) {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, {
    config: { providers: { openai: { baseUrl: `${up.origin}/v1`, apiKey: 'key-of-the-provider' } } },
  })
  const ask = (path: string, body?: object) =>
    send(`${gateway.url}/v1/responses${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.key}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  return { up, gateway, ask }
}

test('a history that was compacted goes on as the same run, and compacting is a step that costs', async t => {
  const { up, gateway, ask } = await staged(t)
  const question = { role: 'user', content: 'What is 2+2?' }
  const compacted = [
    { type: 'message', id: 'msg_c', role: 'user', content: [{ type: 'input_text', text: 'What is 2+2?' }] },
    { type: 'compaction', id: 'cmp_0123456789abcdef0123', encrypted_content: 'abcdefgh0123456789'.repeat(4) },
  ]
  up.next(
    answersJson(response('resp_1', { output: [message('msg_0123456789abcdef01', '4')], usage })),
    answersJson({ id: 'resp_2', object: 'response.compaction', output: compacted, usage }),
    answersJson(response('resp_3', { output: [message('msg_0123456789abcdef02', '6')], usage })),
    answersJson({ object: 'response.input_tokens', input_tokens: 16 }),
  )
  await ask('', { model, input: [question] })
  await ask('/compact', { model, input: [question, message('msg_0123456789abcdef01', '4')] })
  await ask('', { model, input: [...compacted, { role: 'user', content: 'And 3+3?' }] })
  await ask('/input_tokens', { model, input: 'how many?' })
  assert.deepEqual(
    up.arrived.map(({ path }) => path),
    ['/v1/responses', '/v1/responses/compact', '/v1/responses', '/v1/responses/input_tokens'],
  )
  const facts = await gateway.facts(events => callsOf(events).length === 4)
  const [, compaction, , counted] = callsOf(facts)
  assert.equal(runsOf(facts.filter(event => event.type !== 'llm.completed' || event !== counted)).size, 1)
  assert.partialDeepStrictEqual(compaction, { operation: 'chat', step: 2, input_tokens: 100, response_id: 'resp_2' })
  assert.equal(compaction?.cost_nano_usd, 100 * 2000 + 10 * 8000)
  assert.partialDeepStrictEqual(counted, { operation: 'count_tokens', cost_nano_usd: 0 })
  assert.equal(counted?.input_tokens, undefined)
})

test('an answer in the background that is cancelled is booked once, where it was asked for', async t => {
  const { up, gateway, ask } = await staged(t)
  const cancelled = response('resp_b', { status: 'cancelled', output: [], usage: null })
  up.next(
    answersJson(response('resp_b', { status: 'queued', output: [], usage: null, background: true })),
    answersJson(cancelled),
    answersJson(cancelled),
  )
  const first = await ask('', { model, input: 'hi', background: true })
  const second = await ask('/resp_b/cancel')
  assert.equal(second.status, 200)
  assert.equal(second.text, JSON.stringify(cancelled))
  assert.equal((await ask('/resp_b/cancel')).status, 200)
  const arrived = await up.request(2)
  assert.deepEqual([arrived.method, arrived.path, arrived.body.length], ['POST', '/v1/responses/resp_b/cancel', 0])
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 1))
  assert.equal(rows.length, 1)
  assert.partialDeepStrictEqual(rows[0], {
    request_id: first.headers['x-sluice-request-id'],
    finish_reason: 'cancelled',
    operation: 'chat',
  })
})
