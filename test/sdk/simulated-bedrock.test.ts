import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  BedrockRuntimeClient,
  type ContentBlock,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  type Message,
} from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { checkRow, weather } from '../support/sdk.ts'
import { callsOf, runsOf, toolsOf } from './facts.ts'

/** AWS's SDK and the built-in provider. The SDK checks both checksums of every frame. */

const modelId = 'simulator'
const user = (text: string): Message => ({ role: 'user', content: [{ text }] })

function clientOf(t: TestContext, gateway: TestGateway, start = ''): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: gateway.url + start,
    region: 'us-east-1',
    token: { token: gateway.key },
    authSchemePreference: ['httpBearerAuth'],
    requestHandler: new NodeHttpHandler(),
    maxAttempts: 1,
  })
  t.after(() => client.destroy())
  return client
}

/** A streamed answer, put together again. */
async function streamed(client: BedrockRuntimeClient, input: ConverseCommandInput) {
  const { stream } = await client.send(new ConverseStreamCommand(input))
  const content: ContentBlock[] = []
  const heard = { text: '', stopReason: '', inputTokens: 0, outputTokens: 0 }
  let call = { toolUseId: '', name: '', input: '' }
  for await (const part of stream ?? []) {
    const { start } = part.contentBlockStart ?? {}
    if (start?.toolUse) call = { toolUseId: start.toolUse.toolUseId ?? '', name: start.toolUse.name ?? '', input: '' }
    heard.text += part.contentBlockDelta?.delta?.text ?? ''
    call.input += part.contentBlockDelta?.delta?.toolUse?.input ?? ''
    if (part.contentBlockStop && call.name !== '') content.push({ toolUse: { ...call, input: JSON.parse(call.input) } })
    heard.stopReason = part.messageStop?.stopReason ?? heard.stopReason
    heard.inputTokens = part.metadata?.usage?.inputTokens ?? heard.inputTokens
    heard.outputTokens = part.metadata?.usage?.outputTokens ?? heard.outputTokens
  }
  return { ...heard, content }
}

test('Converse says the same at once and in frames, pinned and by its name, and the rows say what it cost', async t => {
  const gateway = await startTestGateway(t)
  const input = { modelId, messages: [user('hello there [[tokens=40 chunk=7]]')] }
  let usage = { input_tokens: 0, output_tokens: 0 }
  for (const start of ['', '/simulator']) {
    const client = clientOf(t, gateway, start)
    const whole = await client.send(new ConverseCommand(input))
    const told = await streamed(client, input)
    const [block] = whole.output?.message?.content ?? []
    assert.match(block?.text ?? '', /^Simulated answer/)
    assert.deepEqual([told.text, told.stopReason], [block?.text, 'end_turn'])
    assert.deepEqual([told.inputTokens, told.outputTokens], [whole.usage?.inputTokens, 40])
    assert.equal(whole.usage?.totalTokens, told.inputTokens + 40)
    usage = { input_tokens: told.inputTokens, output_tokens: 40 }
  }
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 4))
  for (const [i, row] of rows.entries())
    checkRow(row, { ...usage, protocol: 'bedrock', operation: 'chat', stream: i % 2 === 1, finish_reason: 'end_turn' })
})

test('a tool is called in frames and its result told: one run, two steps, the call and what it gave', async t => {
  const gateway = await startTestGateway(t)
  const client = clientOf(t, gateway)
  const toolConfig = {
    tools: [{ toolSpec: { name: weather.name, inputSchema: { json: weather.schema } } }],
    toolChoice: { any: {} },
  }
  const question = user('what is the weather?')
  const called = await streamed(client, { modelId, messages: [question], toolConfig })
  const [call] = called.content
  assert.equal(called.stopReason, 'tool_use')
  assert.deepEqual(call?.toolUse?.input, { city: 'example' })
  const toolUseId = call?.toolUse?.toolUseId
  const messages: Message[] = [
    question,
    { role: 'assistant', content: called.content },
    { role: 'user', content: [{ toolResult: { toolUseId, content: [{ json: { sky: 'clear' } }] } }] },
  ]
  const told = await client.send(new ConverseCommand({ modelId, messages, toolConfig }))
  assert.equal(told.output?.message?.content?.[0]?.text, 'The tool get_weather answered: {"sky":"clear"}')
  const facts = await gateway.facts(events => callsOf(events).length === 2)
  assert.equal(runsOf(facts).size, 1)
  assert.equal(callsOf(facts)[1]?.step, 2)
  assert.deepEqual(toolsOf(facts), [
    ['tool.called', weather.name, '{"city":"example"}'],
    ['tool.returned', weather.name, '{"sky":"clear"}'],
  ])
})

const anthropic = {
  anthropic_version: 'bedrock-2023-05-31',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'hello [[tokens=9 input=100 cached=40]]' }],
}
const nova = {
  messages: [{ role: 'user', content: [{ text: 'hello [[tokens=9 input=100 cached=40]]' }] }],
  inferenceConfig: { max_new_tokens: 100 },
}

test('what is invoked is answered in the shape of its body, at once and in chunks, and counted as well', async t => {
  const gateway = await startTestGateway(t)
  const client = clientOf(t, gateway)
  for (const body of [anthropic, nova]) {
    const request = { modelId, body: JSON.stringify(body) }
    const whole = JSON.parse((await client.send(new InvokeModelCommand(request))).body.transformToString())
    const { body: stream } = await client.send(new InvokeModelWithResponseStreamCommand(request))
    let text = ''
    let last: Record<string, unknown> = {}
    for await (const part of stream ?? []) {
      last = JSON.parse(Buffer.from(part.chunk?.bytes ?? []).toString())
      const { delta, contentBlockDelta } = last as { delta?: { text?: string }; contentBlockDelta?: typeof last }
      text += delta?.text ?? (contentBlockDelta?.['delta'] as { text?: string } | undefined)?.text ?? ''
    }
    const [block] = body === anthropic ? whole.content : whole.output.message.content
    assert.equal(text, block.text)
    assert.partialDeepStrictEqual(last['amazon-bedrock-invocationMetrics'], {
      inputTokenCount: 60,
      cacheReadInputTokenCount: 40,
      outputTokenCount: 9,
    })
  }
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 4))
  for (const row of rows)
    checkRow(row, {
      input_tokens: 100,
      cache_read_tokens: 40,
      output_tokens: 9,
      cost_nano_usd: 60 * 500 + 40 * 50 + 9 * 1_500,
    })
})

test('tokens are counted and vectors made', async t => {
  const gateway = await startTestGateway(t)
  const client = clientOf(t, gateway)
  const messages = [user('hello there')]
  const { usage } = await client.send(new ConverseCommand({ modelId, messages }))
  const counted = await client.send(new CountTokensCommand({ modelId, input: { converse: { messages } } }))
  assert.equal(counted.inputTokens, usage?.inputTokens)
  const body = Buffer.from(JSON.stringify(anthropic))
  const invoked = await client.send(new CountTokensCommand({ modelId, input: { invokeModel: { body } } }))
  assert.ok((invoked.inputTokens ?? 0) > 2)
  const vectorOf = async (body: object) =>
    JSON.parse(
      (
        await client.send(new InvokeModelCommand({ modelId: 'simulator-embed', body: JSON.stringify(body) }))
      ).body.transformToString(),
    )
  const titan = await vectorOf({ inputText: 'two words', dimensions: 8 })
  assert.equal(titan.embedding.length, 8)
  const cohere = await vectorOf({ texts: ['two words', 'three more words'], input_type: 'search_query' })
  assert.equal(cohere.embeddings.length, 2)
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 5))
  assert.deepEqual(
    rows.slice(3).map(row => [row.operation, row.input_tokens, row.cost_nano_usd]),
    [
      ['embeddings', 2, 1_000],
      ['embeddings', 5, 2_500],
    ],
  )
})

test('errors have AWS’s names, before the answer and in the middle of it', async t => {
  const gateway = await startTestGateway(t)
  const client = clientOf(t, gateway)
  const ask = (text: string) => client.send(new ConverseCommand({ modelId, messages: [user(text)] }))
  await assert.rejects(ask('[[status=429]]'), { name: 'ThrottlingException' })
  await assert.rejects(ask('[[status=400]]'), { name: 'ValidationException' })
  const stream = (text: string) => streamed(client, { modelId, messages: [user(text)] })
  await assert.rejects(stream('hello [[error=3]]'), { name: 'ServiceUnavailableException' })
  await assert.rejects(stream('hello [[cut=3]]'))
  const body = JSON.stringify({ ...anthropic, messages: [{ role: 'user', content: 'hello [[error=3]]' }] })
  await assert.rejects(
    async () => {
      const answer = await client.send(new InvokeModelWithResponseStreamCommand({ modelId, body }))
      for await (const _ of answer.body ?? []);
    },
    { name: 'ServiceUnavailableException' },
  )
  const silent = await ask('hello [[usage=none tokens=5]]')
  assert.equal(silent.usage, undefined)
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 6))
  assert.ok(rows.slice(0, 5).every(row => row.outcome !== 'success'))
  assert.deepEqual([rows[5]?.outcome, rows[5]?.usage_source], ['success', 'estimated'])
})
