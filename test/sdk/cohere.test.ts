import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CohereClient, CohereClientV2 } from 'cohere-ai'
import { startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answersJson, breaksStream, fails, streams } from '../support/upstream-replies.ts'
import { callsOf, runsOf, toolsOf } from './facts.ts'

/** Cohere's SDK, unchanged but for the address and the key. */

async function staged(t: TestContext) {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, {
    config: { providers: { cohere: { baseUrl: up.origin, apiKey: 'key-of-the-provider' } } },
  })
  const options = { token: gateway.key, environment: gateway.url, maxRetries: 0 }
  return { up, gateway, client: new CohereClientV2(options), old: new CohereClient(options) }
}

const model = 'command-r7b-12-2024'
const usage = {
  billed_units: { input_tokens: 41, output_tokens: 25 },
  tokens: { input_tokens: 1441, output_tokens: 54 },
}
const call = {
  id: 'weather_0123456789ab',
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"Lviv"}' },
}
const events = (...list: readonly { readonly type: string; readonly [key: string]: unknown }[]) =>
  list.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
const piece = (type: string, message: object, index?: number) => ({ type, index, delta: { message } })

const calling = events(
  { id: 'c-1', ...piece('message-start', { role: 'assistant', content: [], tool_plan: '', tool_calls: [] }) },
  piece('tool-plan-delta', { tool_plan: 'I will look.' }),
  piece('tool-call-start', { tool_calls: { ...call, function: { name: 'weather', arguments: '' } } }, 0),
  piece('tool-call-delta', { tool_calls: { function: { arguments: '{"city":' } } }, 0),
  piece('tool-call-delta', { tool_calls: { function: { arguments: '"Lviv"}' } } }, 0),
  { type: 'tool-call-end', index: 0 },
  { type: 'message-end', delta: { finish_reason: 'TOOL_CALL', usage } },
)
const told = {
  id: 'c-2',
  finish_reason: 'COMPLETE',
  message: { role: 'assistant', content: [{ type: 'text', text: 'Sunny.' }] },
  usage: { ...usage, cached_tokens: 144 },
}

test('a tool is called in a stream and its result told: one run, two steps, the call and what it gave', async t => {
  const { up, gateway, client } = await staged(t)
  up.next(streams(calling), answersJson(told))
  const question = { role: 'user' as const, content: 'weather?' }
  const seen: string[] = []
  for await (const event of await client.chatStream({ model, messages: [question] })) seen.push(event.type ?? '')
  assert.deepEqual([seen[0], seen.at(-1)], ['message-start', 'message-end'])
  const answer = await client.chat({
    model,
    messages: [
      question,
      { role: 'assistant', toolCalls: [{ ...call, type: 'function' }] },
      { role: 'tool', toolCallId: call.id, content: [{ type: 'document', document: { data: { sky: 'clear' } } }] },
    ],
  })
  assert.deepEqual(answer.message.content, told.message.content)
  assert.equal(answer.usage?.billedUnits?.inputTokens, 41)
  const arrived = await up.request(1)
  assert.equal(arrived.path, '/v2/chat')
  assert.equal(arrived.header('authorization'), 'Bearer key-of-the-provider')

  const facts = await gateway.facts(events => callsOf(events).length === 2)
  const [first, second] = callsOf(facts)
  assert.partialDeepStrictEqual(first, {
    protocol: 'cohere',
    stream: true,
    input_tokens: 41,
    finish_reason: 'TOOL_CALL',
  })
  assert.partialDeepStrictEqual(second, { cache_read_tokens: 144, output_tokens: 25, step: 2, response_id: 'c-2' })
  assert.equal(second?.cost_nano_usd, 5288)
  assert.equal(runsOf(facts).size, 1)
  assert.deepEqual(toolsOf(facts), [
    ['tool.called', 'weather', '{"city":"Lviv"}'],
    ['tool.returned', 'weather', '{"sky":"clear"}'],
  ])
})

test('embeddings, rankings and token counts pass, each with what it costs', async t => {
  const { up, gateway, client, old } = await staged(t)
  const meta = { api_version: { version: '2' } }
  up.next(
    answersJson({ id: 'e', embeddings: { float: [[0.5]] }, meta: { ...meta, billed_units: { input_tokens: 100 } } }),
    answersJson({
      id: 'r',
      results: [{ index: 0, relevance_score: 0.9 }],
      meta: { billed_units: { search_units: 1 } },
    }),
    answersJson({ tokens: [1, 2], token_strings: ['a', 'b'], meta }),
  )
  const embedded = await client.embed({
    model: 'embed-v4.0',
    texts: ['a'],
    inputType: 'search_query',
    embeddingTypes: ['float'],
  })
  assert.deepEqual(embedded.embeddings.float, [[0.5]])
  const ranked = await client.rerank({ model: 'rerank-v3.5', query: 'q', documents: ['a'] })
  assert.equal(ranked.results[0]?.relevanceScore, 0.9)
  assert.deepEqual((await old.tokenize({ model, text: 'ab' })).tokens, [1, 2])
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 3))
  assert.deepEqual(
    rows.map(row => [row.operation, row.input_tokens, row.cost_nano_usd]),
    [
      ['embeddings', 100, 12_000],
      ['rerank', undefined, undefined],
      ['count_tokens', undefined, 0],
    ],
  )
})

test('errors are Cohere’s: the provider’s own, ours, and that of a stream which breaks off', async t => {
  const { up, gateway, client } = await staged(t)
  up.next(fails(404, { id: 'x', message: 'no such model' }), breaksStream(calling.slice(0, 2)))
  const request = { model, messages: [{ role: 'user' as const, content: 'hi' }] }
  await assert.rejects(client.chat(request), { statusCode: 404, body: { id: 'x', message: 'no such model' } })
  const stranger = new CohereClientV2({ token: 'nobody', environment: gateway.url, maxRetries: 0 })
  await assert.rejects(stranger.chat(request), (error: { statusCode?: number; body?: { code?: string } }) => {
    assert.deepEqual([error.statusCode, error.body?.code], [401, 'unauthenticated'])
    return true
  })
  const seen: unknown[] = []
  for await (const event of await client.chatStream(request)) seen.push(event)
  assert.partialDeepStrictEqual(seen.at(-1), { type: 'message-end', delta: { finishReason: 'ERROR' } })
})
