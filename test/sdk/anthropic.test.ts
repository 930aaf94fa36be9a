import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { doors } from '../support/doors.ts'
import { at } from '../support/gateway.ts'
import { checkRow, type SdkBench, startSdkBench, weather } from '../support/sdk.ts'
import {
  checkFinalErrors,
  checkOverload,
  checkRetries,
  checkUpstreamErrors,
  type SdkUnderTest,
} from '../support/sdk-errors.ts'
import { breaksStream } from '../support/upstream-replies.ts'

const door = doors[2]!
const question = { model: 'simulator', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] }

test('Anthropic’s SDK talks, streams, calls tools and counts, and each call has its row', async t => {
  const bench = await startSdkBench(t)
  const client = new Anthropic({ apiKey: bench.key, baseURL: bench.url })
  const whole = await client.messages.create(question)
  const final = await client.messages.stream(question).finalMessage()
  assert.deepEqual(final.content, whole.content)
  assert.equal(final.stop_reason, 'end_turn')
  let deltas = 0
  for await (const event of await client.messages.create({ ...question, stream: true }))
    if (event.type === 'content_block_delta') deltas++
  assert.ok(deltas > 1, 'the stream came in one piece')

  const tools = [{ name: weather.name, description: weather.description, input_schema: weather.schema }]
  const calling = await client.messages.stream({ ...question, tools, tool_choice: { type: 'any' } }).finalMessage()
  const call = calling.content[0]
  assert.ok(call?.type === 'tool_use')
  assert.deepEqual(call.input, { city: 'example' })
  const told = await client.messages.create({
    ...question,
    tools,
    messages: [
      ...question.messages,
      { role: 'assistant', content: calling.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'snow' }] },
    ],
  })
  assert.deepEqual(told.content, [{ type: 'text', text: 'The tool get_weather answered: snow' }])
  const short = await client.messages.create({ ...question, max_tokens: 3 })
  assert.equal(short.stop_reason, 'max_tokens')

  const counted = await client.messages.countTokens({ model: question.model, messages: question.messages })
  assert.equal(counted.input_tokens, whole.usage.input_tokens)
  const models: string[] = []
  for await (const model of client.models.list()) models.push(model.id)
  assert.ok(models.includes('simulator'))

  const rows = await bench.rows(7)
  assert.equal(rows.length, 7)
  for (const [i, { usage, stop_reason }] of [whole, final, whole, calling, told, short].entries())
    checkRow(rows[i], {
      input_tokens: usage.input_tokens,
      output_tokens: usage.output_tokens,
      protocol: 'anthropic',
      operation: 'chat',
      stream: i === 1 || i === 2 || i === 3,
      ...(stop_reason === null ? {} : { finish_reason: stop_reason }),
    })
  assert.partialDeepStrictEqual(rows[6], { operation: 'count_tokens', outcome: 'success', cost_nano_usd: 0 })
  assert.equal(rows[6]?.input_tokens, undefined)
  assert.equal(rows[3]?.run_id, rows[4]?.run_id, 'the steps of a tool call are one run')
})

// Most of the time they wait.
suite('errors of Anthropic’s SDK', { concurrency: true }, () => {
  const under = async (t: TestContext, config: object = {}): Promise<readonly [SdkBench, SdkUnderTest]> => {
    const bench = await startSdkBench(t, config)
    return [
      bench,
      {
        classes: Anthropic,
        door,
        ask: (apiKey, model, content) =>
          new Anthropic({ apiKey, baseURL: bench.url }).messages.create({
            ...question,
            model,
            messages: [{ role: 'user', content }],
          }),
        code: error => at(error, 'error', 'error', 'code'),
        status: error => at(error, 'status'),
      },
    ]
  }
  test('it does not repeat what is final', async t => checkFinalErrors(...(await under(t))))
  test('it hears an upstream’s refusals in its own words', async t => checkUpstreamErrors(...(await under(t))))
  test('it repeats what may go better', async t => checkRetries(...(await under(t))))
  test('it comes again to a gateway that has its hands full', async t =>
    checkOverload(...(await under(t, { limits: { callsInFlight: 1 } }))))

  test('it throws where a stream breaks off, with what came before', async t => {
    const [bench] = await under(t)
    const client = new Anthropic({ apiKey: bench.key, baseURL: bench.url })
    bench.up.always(breaksStream(door.events.slice(0, 3)))
    const stream = client.messages.stream({ ...question, model: 'made-up' })
    let text = ''
    stream.on('text', piece => {
      text += piece
    })
    await assert.rejects(
      stream.finalMessage(),
      error => error instanceof Anthropic.APIError && at(error.error, 'error', 'code') === 'upstream_unavailable',
    )
    assert.equal(text, 'Hello there.')
    const failing = { ...question, messages: [{ role: 'user' as const, content: '[[error=4]]' }] }
    await assert.rejects(client.messages.stream(failing).finalMessage(), Anthropic.APIError)
    const rows = await bench.rows(2)
    assert.partialDeepStrictEqual(rows[0], { outcome: 'error', reason: 'upstream_reset', input_tokens: 10 })
    assert.partialDeepStrictEqual(rows[1], {
      outcome: 'error',
      reason: 'error_in_stream',
      error_type: 'overloaded_error',
    })
  })
})
