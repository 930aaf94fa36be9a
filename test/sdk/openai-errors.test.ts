import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import OpenAI from 'openai'
import { doors } from '../support/doors.ts'
import { at } from '../support/gateway.ts'
import { type SdkBench, startSdkBench } from '../support/sdk.ts'
import {
  checkFinalErrors,
  checkOverload,
  checkRetries,
  checkUpstreamErrors,
  type SdkUnderTest,
} from '../support/sdk-errors.ts'
import { breaksStream } from '../support/upstream-replies.ts'

const chat = doors[0]!

async function under(t: TestContext, config: object = {}): Promise<readonly [SdkBench, SdkUnderTest]> {
  const bench = await startSdkBench(t, config)
  return [
    bench,
    {
      classes: OpenAI,
      door: chat,
      thorough: true,
      ask: (apiKey, model, content) =>
        new OpenAI({ apiKey, baseURL: `${bench.url}/v1` }).chat.completions.create({
          model,
          messages: [{ role: 'user', content }],
        }),
      code: error => at(error, 'code'),
      status: error => at(error, 'status'),
    },
  ]
}

// Most of the time they wait.
suite('errors of OpenAI’s SDK', { concurrency: true }, () => {
  test('it does not repeat what is final', async t => checkFinalErrors(...(await under(t))))
  test('it hears an upstream’s refusals in its own words', async t => checkUpstreamErrors(...(await under(t))))
  test('it repeats what may go better', async t => checkRetries(...(await under(t))))
  test('it comes again to a gateway that has its hands full', async t =>
    checkOverload(...(await under(t, { limits: { callsInFlight: 1 } }))))

  test('it throws where a stream breaks off, with what came before', async t => {
    const [bench] = await under(t)
    const client = new OpenAI({ apiKey: bench.key, baseURL: `${bench.url}/v1` })
    bench.up.always(breaksStream(chat.events.slice(0, 3)))
    let text = ''
    const reading = async () => {
      const messages = [{ role: 'user' as const, content: 'hi' }]
      for await (const chunk of await client.chat.completions.create({ model: 'made-up', messages, stream: true }))
        text += chunk.choices[0]?.delta.content ?? ''
    }
    await assert.rejects(reading(), error => error instanceof OpenAI.APIError && error.code === 'upstream_unavailable')
    assert.equal(text, 'Hello there.')
    bench.up.always(breaksStream([doors[1]!.events[0]!, doors[1]!.events[1]!]))
    await assert.rejects(
      async () => {
        for await (const _ of await client.responses.create({ model: 'made-up', input: 'hi', stream: true }));
      },
      error => error instanceof OpenAI.APIError && error.code === 'upstream_unavailable',
    )
    const messages = [{ role: 'user' as const, content: '[[error=2]]' }]
    await assert.rejects(
      async () => {
        for await (const _ of await client.chat.completions.create({ model: 'simulator', messages, stream: true }));
      },
      error => error instanceof OpenAI.APIError,
    )
    const rows = await bench.rows(3)
    assert.deepEqual(
      rows.map(({ outcome, reason }) => [outcome, reason]),
      [
        ['error', 'upstream_reset'],
        ['error', 'upstream_reset'],
        ['error', 'error_in_stream'],
      ],
    )
  })
})
