import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CohereClient, CohereClientV2 } from 'cohere-ai'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { checkRow, weather } from '../support/sdk.ts'
import { callsOf, runsOf, toolsOf } from './facts.ts'

/** Cohere's SDK and the built-in provider. */

const model = 'simulator'
const optionsOf = (gateway: TestGateway, start = '') => ({
  token: gateway.key,
  environment: gateway.url + start,
  maxRetries: 0,
})
const user = (content: string) => ({ role: 'user' as const, content })

test('chat says the same at once and in a stream, pinned and by its name, and the rows say what it cost', async t => {
  const gateway = await startTestGateway(t)
  const request = { model, messages: [user('hello there [[tokens=30 chunk=4 input=50 cached=20]]')] }
  for (const start of ['', '/simulator']) {
    const client = new CohereClientV2(optionsOf(gateway, start))
    const whole = await client.chat(request)
    const [part] = whole.message.content ?? []
    assert.ok(part?.type === 'text' && part.text.startsWith('Simulated answer'))
    assert.equal(whole.usage?.billedUnits?.outputTokens, 30)
    let text = ''
    const types: string[] = []
    for await (const event of await client.chatStream(request)) {
      types.push(event.type)
      if (event.type === 'content-delta') text += event.delta?.message?.content?.text ?? ''
      if (event.type === 'message-end') assert.equal(event.delta?.usage?.billedUnits?.inputTokens, 50)
    }
    assert.equal(text, part.text)
    assert.deepEqual(types.slice(0, 2), ['message-start', 'content-start'])
    assert.deepEqual(types.slice(-2), ['content-end', 'message-end'])
  }
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 4))
  for (const [i, row] of rows.entries())
    checkRow(row, {
      protocol: 'cohere',
      stream: i % 2 === 1,
      input_tokens: 50,
      cache_read_tokens: 20,
      output_tokens: 30,
      finish_reason: 'COMPLETE',
      cost_nano_usd: 30 * 500 + 20 * 50 + 30 * 1_500,
    })
})

test('a tool is called in a stream and its result told: one run, two steps, the call and what it gave', async t => {
  const gateway = await startTestGateway(t)
  const client = new CohereClientV2(optionsOf(gateway))
  const tools = [{ type: 'function' as const, function: { name: weather.name, parameters: weather.schema } }]
  const question = user('what is the weather?')
  const call = { id: '', type: 'function' as const, function: { name: '', arguments: '' } }
  for await (const event of await client.chatStream({ model, messages: [question], tools, toolChoice: 'REQUIRED' })) {
    const begun = event.type === 'tool-call-start' ? event.delta?.message?.toolCalls : undefined
    const more = event.type === 'tool-call-delta' ? event.delta?.message?.toolCalls : undefined
    if (begun !== undefined) call.id = begun.id ?? ''
    call.function.name += begun?.function?.name ?? ''
    call.function.arguments += more?.function?.arguments ?? ''
  }
  assert.deepEqual(call.function, { name: weather.name, arguments: '{"city":"example"}' })
  const told = await client.chat({
    model,
    tools,
    messages: [
      question,
      { role: 'assistant', toolCalls: [call] },
      { role: 'tool', toolCallId: call.id, content: [{ type: 'document', document: { data: { sky: 'clear' } } }] },
    ],
  })
  const [part] = told.message.content ?? []
  assert.ok(part?.type === 'text')
  assert.equal(part.text, 'The tool get_weather answered: {"sky":"clear"}')
  const facts = await gateway.facts(events => callsOf(events).length === 2)
  assert.equal(runsOf(facts).size, 1)
  assert.deepEqual(
    callsOf(facts).map(row => [row.step, row.finish_reason]),
    [
      [1, 'TOOL_CALL'],
      [2, 'COMPLETE'],
    ],
  )
  assert.deepEqual(toolsOf(facts), [
    ['tool.called', weather.name, '{"city":"example"}'],
    ['tool.returned', weather.name, '{"sky":"clear"}'],
  ])
})

test('an answer has the schema asked for; vectors, rankings and tokens come in Cohere’s forms', async t => {
  const gateway = await startTestGateway(t)
  const client = new CohereClientV2(optionsOf(gateway))
  const shaped = await client.chat({
    model,
    messages: [user('hello')],
    responseFormat: { type: 'json_object', jsonSchema: weather.schema },
  })
  const [part] = shaped.message.content ?? []
  assert.ok(part?.type === 'text')
  assert.deepEqual(JSON.parse(part.text), { city: 'example' })
  const { embeddings } = await client.embed({
    model,
    texts: ['two words', 'three more words'],
    inputType: 'search_query',
    outputDimension: 16,
    embeddingTypes: ['float', 'int8', 'ubinary', 'base64'],
  })
  assert.deepEqual([embeddings.float?.length, embeddings.float?.[0]?.length], [2, 16])
  assert.deepEqual([embeddings.int8?.[0]?.length, embeddings.ubinary?.[0]?.length], [16, 2])
  const floats = Buffer.from(embeddings.base64?.[0] ?? '', 'base64')
  assert.ok(Math.abs(floats.readFloatLE(0) - (embeddings.float?.[0]?.[0] ?? 9)) < 1e-6)
  const ranked = await client.rerank({
    model,
    query: 'the river gate',
    documents: ['a keeper', 'the gate by the river', 'the gate'],
    topN: 2,
  })
  assert.deepEqual(
    ranked.results.map(result => result.index),
    [1, 2],
  )
  const { tokens, tokenStrings } = await new CohereClient(optionsOf(gateway)).tokenize({ model, text: 'two words' })
  assert.deepEqual([tokens.length, tokenStrings], [2, ['two', ' words']])
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 4))
  assert.deepEqual(
    rows.slice(1).map(row => [row.operation, row.outcome, row.cost_nano_usd]),
    [
      ['embeddings', 'success', 2_500],
      ['rerank', 'success', undefined],
      ['count_tokens', 'success', 0],
    ],
  )
})

test('errors are Cohere’s, before the answer and in the middle of it', async t => {
  const gateway = await startTestGateway(t)
  const client = new CohereClientV2(optionsOf(gateway))
  await assert.rejects(client.chat({ model, messages: [user('[[status=429]]')] }), { statusCode: 429 })
  const seen: unknown[] = []
  for await (const event of await client.chatStream({ model, messages: [user('hello [[error=4]]')] })) seen.push(event)
  assert.equal(seen.length, 5)
  assert.partialDeepStrictEqual(seen.at(-1), { type: 'message-end', delta: { finishReason: 'ERROR' } })
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 2))
  assert.ok(rows.every(row => row.outcome === 'error'))
})
