import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mistral } from '@mistralai/mistralai'
import { startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answersJson, fails, streams } from '../support/upstream-replies.ts'
import { callsOf } from './facts.ts'

/** Mistral's SDK, unchanged but for the address and the key. */

const choice = (text: string) => [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }]
const usage = { prompt_tokens: 8, completion_tokens: 2, total_tokens: 10 }
const chunk = (delta: object, more: object = {}) =>
  `data: ${JSON.stringify({ id: 'm-2', object: 'chat.completion.chunk', created: 1, model: 'mistral-small-latest', choices: [{ index: 0, delta, finish_reason: null }], ...more })}\n\n`

test('chat, streams, code and embeddings pass, and each is counted', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, {
    config: { providers: { mistral: { baseUrl: `${up.origin}/v1`, apiKey: 'key-of-the-provider' } } },
  })
  const client = new Mistral({ apiKey: gateway.key, serverURL: gateway.url, retryConfig: { strategy: 'none' } })
  const answer = (model: string, text: string) => ({
    id: 'm-1',
    object: 'chat.completion',
    created: 1,
    model,
    choices: choice(text),
    usage: { ...usage, num_cached_tokens: 4 },
  })
  up.next(
    answersJson(answer('mistral-small-latest', 'Bonjour')),
    streams([
      chunk({ role: 'assistant', content: '' }),
      chunk({ content: 'Bon' }),
      chunk({ content: 'jour' }, { choices: [{ index: 0, delta: { content: 'jour' }, finish_reason: 'stop' }], usage }),
      'data: [DONE]\n\n',
    ]),
    answersJson(answer('codestral-latest', 'return 1')),
    answersJson({
      id: 'e-1',
      object: 'list',
      model: 'mistral-embed',
      data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
      usage: { prompt_tokens: 3, total_tokens: 3, completion_tokens: 0 },
    }),
    fails(422, { detail: [{ msg: 'no' }] }),
  )
  const messages = [{ role: 'user' as const, content: 'hello' }]
  const whole = await client.chat.complete({ model: 'mistral-small-latest', messages })
  assert.equal(whole.choices?.[0]?.message?.content, 'Bonjour')
  let text = ''
  for await (const { data } of await client.chat.stream({ model: 'mistral-small-latest', messages }))
    text += data.choices[0]?.delta.content ?? ''
  assert.equal(text, 'Bonjour')
  const code = await client.fim.complete({ model: 'codestral-latest', prompt: 'def f():', suffix: '' })
  assert.equal(code.choices?.[0]?.message?.content, 'return 1')
  const vector = await client.embeddings.create({ model: 'mistral-embed', inputs: ['a'] })
  assert.deepEqual(vector.data[0]?.embedding, [0.5])
  await assert.rejects(client.chat.complete({ model: 'mistral-small-latest', messages }), { statusCode: 422 })

  assert.deepEqual(
    up.arrived.map(({ path }) => path),
    ['chat', 'chat', 'fim'].map(part => `/v1/${part}/completions`).concat('/v1/embeddings', '/v1/chat/completions'),
  )
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 5))
  assert.deepEqual(
    rows.map(row => [row.operation, row.model, row.input_tokens, row.output_tokens]),
    [
      ['chat', 'mistral-small-latest', 8, 2],
      ['chat', 'mistral-small-latest', 8, 2],
      ['text_completion', 'codestral-latest', 8, 2],
      ['embeddings', 'mistral-embed', 3, 0],
      ['chat', 'mistral-small-latest', undefined, undefined],
    ],
  )
})
