import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import Groq from 'groq-sdk'
import { doors } from '../support/doors.ts'
import { at } from '../support/gateway.ts'
import { type SdkBench, startSdkBench, weather } from '../support/sdk.ts'
import { checkFinalErrors, checkRetries, checkUpstreamErrors, type SdkUnderTest } from '../support/sdk-errors.ts'
import { answersJson, breaksStream, streams } from '../support/upstream-replies.ts'

const chat = doors[0]!
const question = { model: 'made-up', messages: [{ role: 'user' as const, content: 'hi' }] }

/** Groq's SDK adds a path of its own to the base URL; the provider's `baseUrl` has it as well. */
const groqBench = (t: TestContext): Promise<SdkBench> =>
  startSdkBench(t, (origin: string) => ({
    providers: {
      groq: {
        protocol: 'openai',
        baseUrl: `${origin}/openai/v1`,
        apiKey: 'gsk-provider',
        prices: { '*': { input: 1, output: 2 } },
      },
    },
    routes: [],
  }))

test('Groq’s SDK talks, streams and calls tools at its own prefix, and each call has its row', async t => {
  const bench = await groqBench(t)
  const client = new Groq({ apiKey: bench.key, baseURL: `${bench.url}/groq` })
  bench.up.next(answersJson(chat.answer))
  const whole = await client.chat.completions.create(question)
  assert.equal(whole.choices[0]?.message.content, 'Hello there.')

  // Groq tells its usage twice where it was asked, and in a field of its own where it was not.
  const last = chat.events.at(-2) ?? ''
  const own = chat.events[3]!.replace(
    '"choices"',
    '"x_groq":{"id":"req_1","usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}},"choices"',
  )
  bench.up.next(request =>
    streams([
      ...chat.events.slice(0, 3),
      own,
      ...(request.body.includes('include_usage') ? [last] : []),
      'data: [DONE]\n\n',
    ]),
  )
  let text = ''
  for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
    assert.equal(chunk.choices.length, 1)
    text += chunk.choices[0]?.delta.content ?? ''
  }
  assert.equal(text, 'Hello there.')

  const call = { id: 'call_1', type: 'function', function: { name: weather.name, arguments: '{"city":"Oslo"}' } }
  bench.up.next(
    answersJson({
      ...chat.answer,
      choices: [
        { index: 0, finish_reason: 'tool_calls', message: { role: 'assistant', content: null, tool_calls: [call] } },
      ],
    }),
  )
  const tools = [{ type: 'function' as const, function: { name: weather.name, parameters: weather.schema } }]
  const calling = await client.chat.completions.create({ ...question, tools })
  assert.equal(calling.choices[0]?.message.tool_calls?.[0]?.function.arguments, '{"city":"Oslo"}')

  for (const request of bench.up.arrived) {
    assert.equal(request.path, '/openai/v1/chat/completions')
    assert.equal(request.header('authorization'), 'Bearer gsk-provider')
  }
  const rows = await bench.rows(3)
  for (const [i, row] of rows.entries())
    assert.partialDeepStrictEqual(row, {
      provider: 'groq',
      model: 'made-up',
      protocol: 'openai',
      input_tokens: 10,
      output_tokens: 3,
      usage_source: 'provider',
      cost_nano_usd: 16_000,
      outcome: 'success',
      finish_reason: i === 2 ? 'tool_calls' : 'stop',
    })
})

// Most of the time they wait.
suite('errors of Groq’s SDK', { concurrency: true }, () => {
  const under = async (t: TestContext): Promise<readonly [SdkBench, SdkUnderTest]> => {
    const bench = await groqBench(t)
    return [
      bench,
      {
        classes: Groq,
        door: chat,
        ask: (apiKey, model, content) =>
          new Groq({ apiKey, baseURL: `${bench.url}/groq` }).chat.completions.create({
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
  test('it throws where a stream breaks off, with what came before', async t => {
    const [bench] = await under(t)
    const client = new Groq({ apiKey: bench.key, baseURL: `${bench.url}/groq` })
    bench.up.always(breaksStream(chat.events.slice(0, 3)))
    let text = ''
    await assert.rejects(async () => {
      for await (const chunk of await client.chat.completions.create({ ...question, stream: true }))
        text += chunk.choices[0]?.delta.content ?? ''
    }, Groq.APIError)
    assert.equal(text, 'Hello there.')
    assert.partialDeepStrictEqual((await bench.rows(1))[0], { outcome: 'error', reason: 'upstream_reset' })
  })
})
