import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import { generateText, jsonSchema, type LanguageModel, Output, stepCountIs, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { simulator } from '../../services/gateway/simulator/simulator.ts'

const WEATHER = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 3 }, unit: { enum: ['C', 'F'] } },
  required: ['city', 'days', 'unit'],
  additionalProperties: false,
}

// The vendors' SDKs speak HTTP: a door for them, over the same port that the gateway uses.
const shim = createServer((request, response) => {
  const body: Buffer[] = []
  request.on('data', chunk => body.push(chunk))
  request.on('end', () => {
    const exchange = simulator.send(
      {
        method: request.method === 'GET' ? 'GET' : 'POST',
        origin: 'simulator://',
        path: request.url ?? '/',
        headers: request.rawHeaders,
        body: body.length === 0 ? null : Buffer.concat(body),
        timeoutMs: 5_000,
      },
      {
        head: (status, headers) => response.writeHead(status, [...headers]),
        data: chunk => response.write(chunk),
        end: () => response.end(),
        fail: () => response.destroy(),
      },
    )
    response.on('drain', () => exchange.resume())
    response.on('close', () => exchange.abort())
  })
})
let base = ''
before(async () => {
  await new Promise<void>(resolve => shim.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(shim.address() as AddressInfo).port}` // listening on TCP, so not a pipe's name
})
after(() => {
  shim.closeAllConnections()
  shim.close()
})
const openai = () => new OpenAI({ apiKey: 'k', baseURL: `${base}/v1`, maxRetries: 0 })
const anthropic = () => new Anthropic({ apiKey: 'k', baseURL: base, maxRetries: 0 })
const google = () => new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: base } })

test('OpenAI’s SDK reads chat answers, streams and usage', async () => {
  const client = openai()
  const whole = await client.chat.completions.create({
    model: 'simulator',
    messages: [{ role: 'user', content: 'hello there' }],
  })
  assert.match(whole.choices[0]?.message.content ?? '', /^Simulated answer/)
  assert.equal(whole.usage?.prompt_tokens, 2 + 1)
  const runner = client.chat.completions.stream({
    model: 'simulator',
    messages: [{ role: 'user', content: 'hello there' }],
    stream_options: { include_usage: true },
  })
  const final = await runner.finalChatCompletion()
  assert.equal(final.choices[0]?.message.content, whole.choices[0]?.message.content)
  assert.deepEqual(final.usage, whole.usage)
  const two = await client.chat.completions.create({
    model: 'simulator',
    n: 2,
    messages: [{ role: 'user', content: 'hello there' }],
  })
  assert.equal(two.choices.length, 2)
  assert.equal(two.usage?.completion_tokens, 2 * (whole.usage?.completion_tokens ?? 0))
})

test('OpenAI’s SDK runs a tool by name and gets words for its result', async () => {
  let called: unknown = null
  const runner = openai().chat.completions.runTools({
    model: 'simulator',
    messages: [{ role: 'user', content: 'please call get_weather' }],
    tools: [
      {
        type: 'function',
        function: {
          name: 'get_weather',
          description: '',
          parameters: WEATHER,
          parse: JSON.parse,
          function: (args: unknown) => {
            called = args
            return 'sunny'
          },
        },
      },
    ],
    stream: true,
  })
  assert.equal(await runner.finalContent(), 'The tool get_weather answered: sunny')
  assert.deepEqual(called, { city: 'example', days: 3, unit: 'C' })
})

test('OpenAI’s SDK reads Responses: text, calls, streams, background, cut answers', async () => {
  const client = openai()
  const tools = [
    { type: 'function', name: 'get_weather', parameters: WEATHER, strict: true, description: null },
  ] as const
  const whole = await client.responses.create({ model: 'simulator', input: 'hello' })
  const streamed = client.responses.stream({ model: 'simulator', input: 'hello' })
  const seen = new Set<string>()
  for await (const event of streamed) seen.add(event.type)
  const final = await streamed.finalResponse()
  assert.equal(final.output_text, whole.output_text)
  assert.deepEqual(final.usage, whole.usage)
  assert.deepEqual([...seen].slice(0, 2), ['response.created', 'response.in_progress'])
  assert.ok(seen.has('response.output_text.delta') && seen.has('response.completed'))
  const calling = await client.responses
    .stream({ model: 'simulator', input: 'hello', tools: [...tools], tool_choice: 'required' })
    .finalResponse()
  const call = calling.output[0]
  assert.ok(call?.type === 'function_call' && call.name === 'get_weather')
  const told = await client.responses.create({
    model: 'simulator',
    previous_response_id: calling.id,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }],
  })
  assert.match(told.output_text, /rain$/)
  const short = await client.responses.create({ model: 'simulator', input: 'hello', max_output_tokens: 5 })
  assert.equal(short.status, 'incomplete')
  assert.equal(short.usage?.output_tokens, 5)
  const queued = await client.responses.create({ model: 'simulator', input: 'hello [[tokens=9]]', background: true })
  assert.equal(queued.status, 'queued')
  assert.equal(queued.usage, null)
  const done = await client.responses.retrieve(queued.id)
  assert.equal(done.status, 'completed')
  assert.equal(done.id, queued.id)
  assert.equal(done.usage?.output_tokens, 9)
  await assert.rejects(client.responses.retrieve('resp_unknown'), OpenAI.NotFoundError)
})

test('OpenAI’s SDK reads embeddings, as floats and as base64, and the list of models', async () => {
  const client = openai()
  const both = await client.embeddings.create({ model: 'simulator-embed', input: ['a', 'b'], dimensions: 8 })
  const floats = await client.embeddings.create({
    model: 'simulator-embed',
    input: 'a',
    dimensions: 8,
    encoding_format: 'float',
  })
  assert.deepEqual(both.data[0]?.embedding, floats.data[0]?.embedding)
  assert.notDeepEqual(both.data[0]?.embedding, both.data[1]?.embedding)
  assert.equal(both.usage.total_tokens, 2)
  assert.deepEqual(
    (await client.models.list()).data.map(model => model.id),
    ['simulator'],
  )
})

test('Anthropic’s SDK reads messages, streams, tool calls, token counts and errors', async () => {
  const client = anthropic()
  const request = { model: 'simulator', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] }
  const whole = await client.messages.create(request)
  const final = await client.messages.stream(request).finalMessage()
  assert.deepEqual(final.content, whole.content)
  assert.equal(final.stop_reason, 'end_turn')
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens)
  const tools = [{ name: 'get_weather', input_schema: { ...WEATHER, type: 'object' as const } }]
  const calling = await client.messages.stream({ ...request, tools, tool_choice: { type: 'any' } }).finalMessage()
  const call = calling.content[0]
  assert.ok(call?.type === 'tool_use')
  assert.deepEqual(call.input, { city: 'example', days: 3, unit: 'C' })
  const told = await client.messages.create({
    ...request,
    tools,
    messages: [
      ...request.messages,
      { role: 'assistant', content: calling.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'snow' }] },
    ],
  })
  assert.deepEqual(told.content, [{ type: 'text', text: 'The tool get_weather answered: snow' }])
  assert.equal(
    (await client.messages.countTokens({ model: 'simulator', messages: request.messages })).input_tokens,
    1 + 1,
  )
  await assert.rejects(client.messages.create({ ...request, model: 'other' }), Anthropic.NotFoundError)
  assert.equal((await client.messages.create({ ...request, max_tokens: 3 })).stop_reason, 'max_tokens')
  const failing = { ...request, messages: [{ role: 'user' as const, content: '[[error=4]]' }] }
  await assert.rejects(client.messages.stream(failing).finalMessage(), Anthropic.APIError)
})

test('Google’s SDK reads answers, streams, function calls, embeddings and token counts', async () => {
  const client = google()
  const request = { model: 'simulator', contents: 'hello' }
  const whole = await client.models.generateContent(request)
  let streamed = ''
  let output: number | undefined
  for await (const piece of await client.models.generateContentStream(request)) {
    streamed += piece.text ?? ''
    output = piece.usageMetadata?.candidatesTokenCount
  }
  assert.equal(streamed, whole.text)
  assert.equal(output, whole.usageMetadata?.candidatesTokenCount)
  const declaration = { name: 'get_weather', parametersJsonSchema: WEATHER }
  const config = { tools: [{ functionDeclarations: [declaration] }] }
  const calling = await client.models.generateContent({ ...request, contents: 'call get_weather', config })
  assert.deepEqual(
    calling.functionCalls?.map(({ name, args }) => ({ name, args })),
    [{ name: 'get_weather', args: { city: 'example', days: 3, unit: 'C' } }],
  )
  const embedded = await client.models.embedContent({
    model: 'simulator',
    contents: ['a', 'b'],
    config: { outputDimensionality: 4 },
  })
  assert.deepEqual(
    embedded.embeddings?.map(one => one.values?.length),
    [4, 4],
  )
  assert.equal((await client.models.countTokens(request)).totalTokens, 1 + 1)
  await assert.rejects(client.models.generateContent({ ...request, contents: '[[status=429]]' }), /RESOURCE_EXHAUSTED/)
})

/** As much of JSON Schema as all of its providers pass on. */
const CITY = jsonSchema<{ city: string }>({
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
})

test('the AI SDK runs a tool through each of its providers and reads an object in the schema asked for', async () => {
  const providers: Readonly<Record<string, LanguageModel>> = {
    chat: createOpenAI({ apiKey: 'k', baseURL: `${base}/v1` }).chat('simulator'),
    responses: createOpenAI({ apiKey: 'k', baseURL: `${base}/v1` }).responses('simulator'),
    anthropic: createAnthropic({ apiKey: 'k', baseURL: `${base}/v1` })('simulator'),
    google: createGoogleGenerativeAI({ apiKey: 'k', baseURL: `${base}/v1beta` })('simulator'),
  }
  for (const [name, model] of Object.entries(providers)) {
    const asked: unknown[] = []
    const weather = tool({
      description: 'the weather',
      inputSchema: CITY,
      execute: input => {
        asked.push(input)
        return 'sunny'
      },
    })
    const run = {
      model,
      prompt: 'call get_weather',
      tools: { get_weather: weather },
      stopWhen: stepCountIs(4),
      maxRetries: 0,
      maxOutputTokens: 200,
    }
    const whole = await generateText(run)
    assert.match(whole.text, /^The tool get_weather answered: .*sunny/, name)
    assert.equal(await streamText(run).text, whole.text, name)
    assert.deepEqual(asked[1], { city: 'example' }, name)
    const { output } = await generateText({
      model,
      prompt: 'hello',
      maxOutputTokens: 200,
      output: Output.object({ schema: CITY }),
    })
    assert.deepEqual(output, { city: 'example' }, name)
  }
})
