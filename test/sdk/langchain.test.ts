import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { z } from 'zod'
import { doors } from '../support/doors.ts'
import { at } from '../support/gateway.ts'
import { checkRow, type SdkBench, startSdkBench, weather } from '../support/sdk.ts'
import { honest } from '../support/upstream-lies.ts'
import { breaksStream, fails } from '../support/upstream-replies.ts'

const chat = doors[0]!
type Used = { readonly input_tokens: number; readonly output_tokens: number } | undefined
const modelOf = (bench: SdkBench, apiKey: string, model: string, more: object = {}) =>
  new ChatOpenAI({ model, apiKey, configuration: { baseURL: `${bench.url}/v1` }, ...more })

for (const useResponsesApi of [false, true])
  test(`LangChain invokes, streams, calls tools and reads objects over ${useResponsesApi ? 'Responses' : 'chat completions'}`, async t => {
    const bench = await startSdkBench(t)
    const model = modelOf(bench, bench.key, 'simulator', { useResponsesApi })
    const whole = await model.invoke('hello there')
    assert.match(whole.text, /^Simulated answer/)
    let text = ''
    let streamed: Used
    for await (const chunk of await model.stream('hello there')) {
      text += chunk.text
      streamed = chunk.usage_metadata ?? streamed
    }
    assert.equal(text, whole.text)

    const getWeather = tool(({ city }: { city: string }) => `rain in ${city}`, {
      name: weather.name,
      description: weather.description,
      schema: z.object({ city: z.string() }),
    })
    const withTools = model.bindTools([getWeather])
    const question = new HumanMessage(`call ${weather.name}`)
    const calling = await withTools.invoke([question])
    const call = calling.tool_calls?.[0]
    assert.ok(call !== undefined)
    const result: unknown = await getWeather.invoke(call)
    assert.ok(result instanceof ToolMessage)
    const told = await withTools.invoke([question, calling, result])
    assert.match(told.text, /rain in example/)

    const object = await model.withStructuredOutput(z.object({ city: z.string() })).invoke('hello')
    assert.deepEqual(object, { city: 'example' })

    const rows = await bench.rows(5)
    assert.equal(rows.length, 5)
    for (const [i, usage] of [whole.usage_metadata, streamed, calling.usage_metadata, told.usage_metadata].entries())
      checkRow(rows[i], {
        input_tokens: usage?.input_tokens ?? -1,
        output_tokens: usage?.output_tokens ?? -1,
        stream: i === 1,
      })
    assert.equal(rows[2]?.run_id, rows[3]?.run_id, 'the steps of a tool call are one run')
  })

test('LangChain embeds', async t => {
  const bench = await startSdkBench(t)
  const configuration = { baseURL: `${bench.url}/v1` }
  const embeddings = new OpenAIEmbeddings({ model: 'simulator-embed', apiKey: bench.key, configuration })
  assert.equal((await embeddings.embedDocuments(['a', 'b'])).length, 2)
  assert.partialDeepStrictEqual((await bench.rows(1))[0], { operation: 'embeddings', outcome: 'success' })
})

test('LangChain hears what is final once, and repeats what may go better', async t => {
  const bench = await startSdkBench(t)
  const own = { error: { message: 'own words', type: 'own_error', code: 'own_code' } }
  bench.up.always(fails(400, own))
  const final = [
    { key: 'wrong', name: 'AuthenticationError', status: 401, code: 'unauthenticated' },
    { key: bench.narrowKey, name: 'PermissionDeniedError', status: 403, code: 'model_not_allowed' },
    { key: bench.key, name: 'BadRequestError', status: 400, code: 'own_code' },
  ]
  for (const { key, name, status, code } of final) {
    const act = () =>
      assert.rejects(modelOf(bench, key, 'made-up').invoke('hi'), error => {
        assert.deepEqual([error?.constructor.name, at(error, 'status'), at(error, 'code')], [name, status, code])
        return true
      })
    assert.equal(await bench.requestsOf(act), 1, name)
  }
  bench.up.next(fails(503, {}))
  bench.up.always(honest(chat, false))
  assert.equal(await bench.requestsOf(() => modelOf(bench, bench.key, 'made-up').invoke('hi')), 2)

  bench.up.always(breaksStream(chat.events.slice(0, 3)))
  let text = ''
  await assert.rejects(
    async () => {
      for await (const chunk of await modelOf(bench, bench.key, 'made-up').stream('hi')) text += chunk.text
    },
    error => at(error, 'code') === 'upstream_unavailable',
  )
  assert.equal(text, 'Hello there.')
  assert.deepEqual(
    (await bench.rows(4)).map(row => row.reason ?? row.outcome),
    ['http_400', 'http_503', 'success', 'upstream_reset'],
  )
})
