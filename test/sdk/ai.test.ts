import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import {
  APICallError,
  embedMany,
  generateText,
  jsonSchema,
  type LanguageModel,
  Output,
  RetryError,
  stepCountIs,
  streamText,
  tool,
} from 'ai'
import { doors as allDoors } from '../support/doors.ts'
import { checkRow, type SdkBench, startSdkBench, weather } from '../support/sdk.ts'
import { honest } from '../support/upstream-lies.ts'
import { breaksStream, fails } from '../support/upstream-replies.ts'

const SCHEMA = jsonSchema<{ city: string }>({ ...weather.schema, properties: { city: { type: 'string' } } })

/** Doors for which there is a provider here, and the providers in their order. */
const doors = allDoors.slice(0, 4)

const modelsOf = (bench: SdkBench, apiKey: string, model: string): readonly LanguageModel[] => [
  createOpenAI({ apiKey, baseURL: `${bench.url}/v1` }).chat(model),
  createOpenAI({ apiKey, baseURL: `${bench.url}/v1` }).responses(model),
  createAnthropic({ apiKey, baseURL: `${bench.url}/v1` })(model),
  createGoogleGenerativeAI({ apiKey, baseURL: `${bench.url}/v1beta` })(model),
]

for (const [i, { name }] of doors.entries())
  test(`the AI SDK runs several steps with a tool, streams and reads an object at the door of ${name}`, async t => {
    const bench = await startSdkBench(t)
    const model = modelsOf(bench, bench.key, 'simulator')[i]!
    const asked: unknown[] = []
    const get_weather = tool({
      description: weather.description,
      inputSchema: SCHEMA,
      execute: input => {
        asked.push(input)
        return 'sunny'
      },
    })
    const run = { model, tools: { get_weather }, stopWhen: stepCountIs(5), maxOutputTokens: 200 }
    const prompt = '[[tool=get_weather args={"city":"Oslo"}]] [[then tool=get_weather args={"city":"Rome"}]]'
    const whole = await generateText({ ...run, prompt })
    assert.match(whole.text, /sunny/)
    assert.equal(whole.steps.length, 3)
    assert.deepEqual(asked, [{ city: 'Oslo' }, { city: 'Rome' }])

    let text = ''
    const stream = streamText({ ...run, prompt: 'call get_weather' })
    for await (const piece of stream.textStream) text += piece
    assert.match(text, /sunny/)
    const steps = await stream.steps
    assert.equal(steps.length, 2)

    const object = await generateText({
      model,
      prompt: 'hello',
      maxOutputTokens: 200,
      output: Output.object({ schema: SCHEMA }),
    })
    assert.deepEqual(object.output, { city: 'example' })

    const usages = [...whole.steps, ...steps, object].map(step => step.usage)
    const rows = await bench.rows(usages.length)
    assert.equal(rows.length, 6)
    for (const [n, usage] of usages.entries())
      checkRow(rows[n], {
        input_tokens: usage.inputTokens ?? -1,
        output_tokens: usage.outputTokens ?? -1,
        stream: n === 3 || n === 4,
      })
    const runs = rows.map(row => row.run_id)
    assert.equal(new Set(runs.slice(0, 3)).size, 1, 'three steps are one run')
    assert.equal(runs[3], runs[4])
    assert.equal(new Set(runs).size, 3)
  })

test('the AI SDK embeds', async t => {
  const bench = await startSdkBench(t)
  const model = createOpenAI({ apiKey: bench.key, baseURL: `${bench.url}/v1` }).embedding('simulator-embed')
  const { embeddings, usage } = await embedMany({ model, values: ['a', 'b'] })
  assert.equal(embeddings.length, 2)
  assert.partialDeepStrictEqual((await bench.rows(1))[0], { operation: 'embeddings', input_tokens: usage.tokens })
})

test('the AI SDK hears what is final once, and repeats what may go better', async t => {
  const bench = await startSdkBench(t)
  const codeOf = (error: APICallError) => /"(?:code|reason)":"([a-z_]+)"/.exec(error.responseBody ?? '')?.[1]
  for (const [i, door] of doors.entries()) {
    const ask = (key: string, model: string) =>
      generateText({ model: modelsOf(bench, key, model)[i]!, prompt: 'hi', maxOutputTokens: 50 })
    const final = [
      { key: 'wrong', status: 401, code: 'unauthenticated' },
      { key: bench.narrowKey, status: 403, code: 'model_not_allowed' },
    ]
    for (const { key, status, code } of final) {
      const act = () =>
        assert.rejects(ask(key, 'made-up'), error => {
          assert.ok(APICallError.isInstance(error), door.name)
          assert.deepEqual([error.statusCode, error.isRetryable, codeOf(error)], [status, false, code], door.name)
          return true
        })
      assert.equal(await bench.requestsOf(act), 1, door.name)
    }
  }
  // Long enough to wait for once.
  const ask = () => generateText({ model: modelsOf(bench, bench.key, 'made-up')[0]!, prompt: 'hi' })
  bench.up.next(fails(503, {}))
  bench.up.always(honest(doors[0]!, false))
  assert.equal(await bench.requestsOf(ask), 2)
  bench.up.always(fails(503, {}))
  const act = () =>
    assert.rejects(ask(), error => {
      assert.ok(RetryError.isInstance(error) && APICallError.isInstance(error.lastError))
      return codeOf(error.lastError) === 'upstream_unavailable'
    })
  assert.equal(await bench.requestsOf(act), 3)
  assert.deepEqual(
    (await bench.rows(5)).map(row => row.reason ?? row.outcome),
    ['http_503', 'success', 'http_503', 'http_503', 'http_503'],
  )
})

test('the AI SDK tells of a stream that breaks off, with what came before', async t => {
  const bench = await startSdkBench(t)
  for (const [i, door] of doors.entries()) {
    bench.up.always(breaksStream(door.events.slice(0, door.name === 'gemini' ? 1 : 3)))
    const errors: unknown[] = []
    const model = modelsOf(bench, bench.key, 'made-up')[i]!
    const stream = streamText({
      model,
      prompt: 'hi',
      maxOutputTokens: 50,
      onError: ({ error }) => void errors.push(error),
    })
    let text = ''
    for await (const part of stream.fullStream) if (part.type === 'text-delta') text += part.text
    assert.match(text, /^Hello/, door.name)
    assert.match(JSON.stringify(errors), /broke off/, door.name)
  }
  for (const row of await bench.rows(4))
    assert.partialDeepStrictEqual(row, { outcome: 'error', reason: 'upstream_reset' })
})
