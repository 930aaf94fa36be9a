import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError, FunctionCallingConfigMode, GoogleGenAI } from '@google/genai'
import { doors } from '../support/doors.ts'
import { at } from '../support/gateway.ts'
import { checkRow, startSdkBench, weather } from '../support/sdk.ts'
import { honest } from '../support/upstream-lies.ts'
import { breaksStream, fails } from '../support/upstream-replies.ts'

const door = doors[3]!
const question = { model: 'simulator', contents: 'hello' }
const clientOf = (bench: { readonly url: string }, apiKey: string) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: bench.url } })

test('Google’s SDK talks, streams, calls functions, embeds and counts, and each call has its row', async t => {
  const bench = await startSdkBench(t)
  const client = clientOf(bench, bench.key)
  const whole = await client.models.generateContent(question)
  let text = ''
  let last = whole.usageMetadata
  for await (const piece of await client.models.generateContentStream(question)) {
    text += piece.text ?? ''
    last = piece.usageMetadata
  }
  assert.equal(text, whole.text)

  const declarations = [{ name: weather.name, description: weather.description, parametersJsonSchema: weather.schema }]
  const config = {
    tools: [{ functionDeclarations: declarations }],
    toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
  }
  const calling = await client.models.generateContent({ ...question, config })
  assert.deepEqual(
    calling.functionCalls?.map(({ name, args }) => ({ name, args })),
    [{ name: weather.name, args: { city: 'example' } }],
  )
  const told = await client.models.generateContent({
    ...question,
    config: { tools: config.tools },
    contents: [
      { role: 'user', parts: [{ text: 'hello' }] },
      ...(calling.candidates?.[0]?.content === undefined ? [] : [calling.candidates[0].content]),
      { role: 'user', parts: [{ functionResponse: { name: weather.name, response: { output: 'snow' } } }] },
    ],
  })
  assert.match(told.text ?? '', /snow/)

  const chat = client.chats.create({ model: 'simulator' })
  assert.equal((await chat.sendMessage({ message: 'hello' })).text, whole.text)

  const embedded = await client.models.embedContent({
    model: 'simulator',
    contents: ['a', 'b'],
    config: { outputDimensionality: 4 },
  })
  assert.deepEqual(
    embedded.embeddings?.map(one => one.values?.length),
    [4, 4],
  )
  assert.equal((await client.models.countTokens(question)).totalTokens, whole.usageMetadata?.promptTokenCount)

  const rows = await bench.rows(7)
  assert.equal(rows.length, 7)
  const usages = [whole.usageMetadata, last, calling.usageMetadata, told.usageMetadata]
  for (const [i, usage] of usages.entries())
    checkRow(rows[i], {
      input_tokens: usage?.promptTokenCount ?? -1,
      output_tokens: usage?.candidatesTokenCount ?? -1,
      protocol: 'gemini',
      operation: 'generate_content',
      stream: i === 1,
      finish_reason: 'STOP',
    })
  assert.partialDeepStrictEqual(rows[5], { operation: 'embeddings', outcome: 'success', model_requested: 'simulator' })
  assert.partialDeepStrictEqual(rows[6], { operation: 'count_tokens', outcome: 'success', cost_nano_usd: 0 })
  assert.equal(rows[2]?.run_id, rows[3]?.run_id, 'the steps of a function call are one run')
})

test('Google’s SDK throws its own error with our reason in it', async t => {
  const bench = await startSdkBench(t)
  const ask = (key: string, model: string, contents: string) =>
    clientOf(bench, key).models.generateContent({ model, contents })
  const cases = [
    { what: 'a wrong key', key: 'wrong', status: 401, reason: 'unauthenticated' },
    { what: 'a model that is not allowed', key: bench.narrowKey, status: 403, reason: 'model_not_allowed' },
    { what: 'too large a body', contents: 'x'.repeat(2_000_000), status: 413, reason: 'payload_too_large' },
    { what: 'an upstream that is down', status: 502, reason: 'upstream_unavailable' },
  ]
  bench.up.always(fails(503, {}))
  for (const { what, key = bench.key, contents = 'hi', status, reason } of cases) {
    const requests = await bench.requestsOf(() =>
      assert.rejects(ask(key, 'made-up', contents), error => {
        assert.ok(error instanceof ApiError, what)
        assert.equal(error.status, status, what)
        assert.equal(at(JSON.parse(error.message), 'error', 'details', 0, 'reason'), reason, what)
        return true
      }),
    )
    assert.equal(requests, 1, what)
  }
  // Whoever wants retries says so: then what may go better is tried again, and what is final is not.
  const patient = new GoogleGenAI({
    apiKey: bench.key,
    httpOptions: { baseUrl: bench.url, retryOptions: { attempts: 3, initialDelay: 0.01 } },
  })
  bench.up.always(honest(door, false))
  bench.up.next(fails(503, {}))
  assert.equal(await bench.requestsOf(() => patient.models.generateContent({ model: 'made-up', contents: 'hi' })), 2)
  const own = { error: { code: 400, message: 'own words', status: 'INVALID_ARGUMENT' } }
  bench.up.always(fails(400, own))
  await assert.rejects(
    ask(bench.key, 'made-up', 'hi'),
    error => error instanceof ApiError && /own words/.test(error.message),
  )

  bench.up.always(breaksStream(door.events.slice(0, 1)))
  let text = ''
  await assert.rejects(
    async () => {
      for await (const piece of await clientOf(bench, bench.key).models.generateContentStream({
        model: 'made-up',
        contents: 'hi',
      }))
        text += piece.text ?? ''
    },
    error => error instanceof ApiError && error.status === 502 && /upstream_unavailable/.test(error.message),
  )
  assert.equal(text, 'Hello')
  const rows = await bench.rows(5)
  assert.deepEqual(
    rows.map(row => row.reason ?? row.outcome),
    ['http_503', 'http_503', 'success', 'http_400', 'upstream_reset'],
  )
})
