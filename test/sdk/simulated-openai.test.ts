import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mistral } from '@mistralai/mistralai'
import OpenAI from 'openai'
import { startTestGateway } from '../support/gateway.ts'
import { checkRow } from '../support/sdk.ts'
import { callsOf, runsOf } from './facts.ts'

/** What stands beside chat and Responses in OpenAI's protocol, at the built-in provider. */

const model = 'simulator'

test('a history is counted and compacted by the simulator, and goes on as the same run', async t => {
  const gateway = await startTestGateway(t)
  const client = new OpenAI({ apiKey: gateway.key, baseURL: `${gateway.url}/v1`, maxRetries: 0 })
  const question = { role: 'user' as const, content: 'how wide is the river?' }
  const first = await client.responses.create({ model, input: [question] })
  const history = [question, ...first.output] as OpenAI.Responses.ResponseInputItem[] // as an agent sends them back
  const counted = await client.responses.inputTokens.count({ model, input: history })
  const compacted = await client.responses.compact({ model, input: history })
  assert.equal(compacted.usage.input_tokens, counted.input_tokens)
  assert.deepEqual(
    compacted.output.map(item => item.type),
    ['message', 'compaction'],
  )
  const input = [...compacted.output, { role: 'user' as const, content: 'and how deep?' }]
  const next = await client.responses.create({ model, input: input as OpenAI.Responses.ResponseInputItem[] })
  assert.match(next.output_text, /^Simulated answer/)
  const facts = await gateway.facts(events => callsOf(events).length === 4)
  const steps = callsOf(facts).filter(row => row.operation === 'chat')
  assert.equal(new Set(steps.map(row => row.run_id)).size, 1)
  assert.ok(runsOf(facts).size <= 2)
  for (const [i, { usage }] of [first, compacted, next].entries())
    checkRow(steps[i], {
      input_tokens: usage?.input_tokens ?? 0,
      output_tokens: usage?.output_tokens ?? 0,
      step: i + 1,
    })
})

test('who cancels a background answer of the simulator comes too late, and it is booked once', async t => {
  const gateway = await startTestGateway(t)
  for (const start of ['', '/simulator']) {
    const client = new OpenAI({ apiKey: gateway.key, baseURL: `${gateway.url}${start}/v1`, maxRetries: 0 })
    const queued = await client.responses.create({ model, input: `hello ${start} [[tokens=9]]`, background: true })
    assert.equal(queued.status, 'queued')
    const cancelled = await client.responses.cancel(queued.id)
    assert.deepEqual([cancelled.id, cancelled.status, cancelled.usage?.output_tokens], [queued.id, 'completed', 9])
    assert.deepEqual((await client.responses.retrieve(queued.id)).output, cancelled.output)
  }
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 2))
  for (const row of rows) assert.deepEqual([row.operation, row.output_tokens, row.outcome], ['chat', 9, 'success'])
})

test('Mistral’s SDK gets code from the simulator, at once and in a stream, and each is counted', async t => {
  const gateway = await startTestGateway(t)
  const client = new Mistral({ apiKey: gateway.key, serverURL: gateway.url, retryConfig: { strategy: 'none' } })
  const request = { model, prompt: 'def gate(river):', suffix: 'return wide' }
  const whole = await client.fim.complete(request)
  let text = ''
  for await (const { data } of await client.fim.stream(request)) text += data.choices[0]?.delta.content ?? ''
  assert.equal(text, whole.choices[0]?.message?.content)
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 2))
  const told = { input_tokens: whole.usage.promptTokens ?? 0, output_tokens: whole.usage.completionTokens ?? 0 }
  for (const row of rows) checkRow(row, { ...told, operation: 'text_completion' })
})
