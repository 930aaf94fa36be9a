import assert from 'node:assert/strict'
import { test } from 'node:test'
import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { checkRow, startSdkBench, weather } from '../support/sdk.ts'

const messages = [{ role: 'user' as const, content: 'hello there' }]
const model = 'simulator'

test('OpenAI’s SDK talks, streams, calls tools and asks for schemas, and each call has its row', async t => {
  const bench = await startSdkBench(t)
  const client = new OpenAI({ apiKey: bench.key, baseURL: `${bench.url}/v1` })
  const seen: OpenAI.CompletionUsage[] = []

  const { data: whole, response } = await client.chat.completions.create({ model, messages }).withResponse()
  assert.match(whole.choices[0]?.message.content ?? '', /^Simulated answer/)
  assert.ok(response.headers.get('x-sluice-run-id') && response.headers.get('x-sluice-cost-usd'))
  seen.push(whole.usage!)

  let text = ''
  const stream = await client.chat.completions.create({ model, messages, stream: true })
  for await (const chunk of stream) {
    assert.equal(chunk.choices.length, 1, 'the chunk of usage was not asked for')
    assert.ok(chunk.usage == null)
    text += chunk.choices[0]?.delta.content ?? ''
  }
  assert.equal(text, whole.choices[0]?.message.content)
  seen.push(whole.usage!) // the row knows what the stream did not say

  const asking = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } })
  seen.push((await asking.finalChatCompletion()).usage!)

  let called: unknown = null
  const runner = client.chat.completions.runTools({
    model,
    messages: [{ role: 'user', content: `please call ${weather.name}` }],
    tools: [
      {
        type: 'function',
        function: {
          name: weather.name,
          description: weather.description,
          parameters: weather.schema,
          parse: (text: string): object => JSON.parse(text),
          function: (args: object) => {
            called = args
            return 'sunny'
          },
        },
      },
    ],
  })
  assert.equal(await runner.finalContent(), 'The tool get_weather answered: sunny')
  assert.deepEqual(called, { city: 'example' })
  for (const completion of runner.allChatCompletions()) seen.push(completion.usage!)

  const parsed = await client.chat.completions.parse({
    model,
    messages,
    response_format: zodResponseFormat(z.object({ city: z.string(), days: z.number() }), 'trip'),
  })
  assert.deepEqual(Object.keys(parsed.choices[0]?.message.parsed ?? {}), ['city', 'days'])
  seen.push(parsed.usage!)

  const rows = await bench.rows(seen.length)
  assert.equal(rows.length, 6)
  for (const [i, usage] of seen.entries())
    checkRow(rows[i], {
      input_tokens: usage.prompt_tokens,
      output_tokens: usage.completion_tokens,
      operation: 'chat',
      protocol: 'openai',
      stream: i === 1 || i === 2,
      finish_reason: i === 3 ? 'tool_calls' : 'stop',
    })
  assert.equal(rows[3]?.run_id, rows[4]?.run_id, 'the steps of a tool call are one run')
})

test('OpenAI’s SDK uses Responses, streamed and in the background, and a background answer has one row', async t => {
  const bench = await startSdkBench(t)
  const client = new OpenAI({ apiKey: bench.key, baseURL: `${bench.url}/v1` })
  const whole = await client.responses.create({ model, input: 'hello' })
  const types = new Set<string>()
  const streamed = client.responses.stream({ model, input: 'hello' })
  for await (const event of streamed) types.add(event.type)
  const final = await streamed.finalResponse()
  assert.equal(final.output_text, whole.output_text)
  assert.ok(types.has('response.created') && types.has('response.output_text.delta') && types.has('response.completed'))

  const tools = [
    { type: 'function' as const, name: weather.name, parameters: weather.schema, strict: true, description: null },
  ]
  const calling = await client.responses.create({ model, input: `call ${weather.name}`, tools })
  const call = calling.output[0]
  assert.ok(call?.type === 'function_call' && call.arguments === '{"city":"example"}')
  const told = await client.responses.create({
    model,
    previous_response_id: calling.id,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
  })
  assert.match(told.output_text, /rain$/)
  const before = [whole, final, calling, told]

  const queued = await client.responses.create({ model, input: 'hello [[tokens=9]]', background: true })
  assert.deepEqual([queued.status, queued.usage], ['queued', null])
  const done = await client.responses.retrieve(queued.id)
  assert.equal(done.status, 'completed')
  assert.equal((await client.responses.retrieve(queued.id)).id, queued.id)
  let last: OpenAI.Responses.Response | null = null
  for await (const event of await client.responses.retrieve(queued.id, { stream: true }))
    if (event.type === 'response.completed') last = event.response
  assert.equal(last?.usage?.output_tokens, 9)

  const rows = await bench.rows(5)
  assert.equal(rows.length, 5, 'asking again is no call')
  for (const [i, { usage }] of [...before, done].entries())
    checkRow(rows[i], {
      input_tokens: usage?.input_tokens ?? -1,
      output_tokens: usage?.output_tokens ?? -1,
      operation: 'chat',
      finish_reason: 'completed',
    })
  assert.equal(rows[2]?.run_id, rows[3]?.run_id, 'an answer that continues another is of its run')
})

test('OpenAI’s SDK embeds and lists models', async t => {
  const bench = await startSdkBench(t)
  const client = new OpenAI({ apiKey: bench.key, baseURL: `${bench.url}/v1` })
  const base64 = await client.embeddings.create({ model: 'simulator-embed', input: ['a', 'b'], dimensions: 8 })
  const floats = await client.embeddings.create({
    model: 'simulator-embed',
    input: 'a',
    dimensions: 8,
    encoding_format: 'float',
  })
  assert.deepEqual(base64.data[0]?.embedding, floats.data[0]?.embedding)
  const rows = await bench.rows(2)
  for (const [i, { usage }] of [base64, floats].entries())
    assert.partialDeepStrictEqual(rows[i], {
      operation: 'embeddings',
      model_requested: 'simulator-embed',
      input_tokens: usage.prompt_tokens,
      cost_nano_usd: usage.prompt_tokens * 500,
      outcome: 'success',
    })
  const models: string[] = []
  for await (const model of client.models.list()) models.push(model.id)
  assert.ok(models.includes('simulator'))
})
