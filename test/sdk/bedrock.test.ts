import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import {
  BedrockRuntimeClient,
  type BedrockRuntimeClientConfig,
  ConverseCommand,
  ConverseStreamCommand,
  CountTokensCommand,
  InvokeModelCommand,
  InvokeModelWithResponseStreamCommand,
  type Message,
} from '@aws-sdk/client-bedrock-runtime'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { frameOf } from '../../services/core/wire/frames.ts'
import { startTestGateway, type TestGateway } from '../support/gateway.ts'
import { oddSlices } from '../support/replay.ts'
import { type Arrived, type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { answersInSlices, answersJson, breaksStream, fails, type Reply } from '../support/upstream-replies.ts'
import { callsOf, runsOf, toolsOf } from './facts.ts'

/** AWS's SDK, unchanged but for the address and the key. Over plain HTTP it must be told to speak HTTP/1.1. */

const modelId = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const arn = 'arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc'
const providerKey = 'bearer-token-of-the-provider'
const AWS = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

type Stage = { readonly up: ScriptedUpstream; readonly gateway: TestGateway; readonly client: BedrockRuntimeClient }

async function staged(t: TestContext, provider: object = { apiKey: providerKey }, more: object = {}): Promise<Stage> {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, {
    env: AWS,
    config: { providers: { bedrock: { baseUrl: up.origin, region: 'us-east-1', ...provider } }, ...more },
  })
  return { up, gateway, client: clientOf(t, gateway) }
}

function clientOf(t: TestContext, gateway: TestGateway, config: BedrockRuntimeClientConfig = {}): BedrockRuntimeClient {
  const client = new BedrockRuntimeClient({
    endpoint: gateway.url,
    region: 'us-east-1',
    token: { token: gateway.key },
    authSchemePreference: ['httpBearerAuth'],
    requestHandler: new NodeHttpHandler(),
    maxAttempts: 1,
    ...config,
  })
  t.after(() => client.destroy())
  return client
}

const user = (text: string): Message => ({ role: 'user', content: [{ text }] })
const event = (type: string, payload: object): Buffer =>
  frameOf(
    { ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' },
    JSON.stringify(payload),
  )
const frames = (...list: readonly Buffer[]): Reply =>
  answersInSlices(oddSlices(Buffer.concat(list)), {
    headers: ['content-type', 'application/vnd.amazon.eventstream'],
  })
const chunk = (payload: object): Buffer =>
  event('chunk', { bytes: Buffer.from(JSON.stringify(payload)).toString('base64'), p: 'abc' })

const called = {
  output: {
    message: {
      role: 'assistant',
      content: [
        { text: 'I will look.' },
        { toolUse: { toolUseId: 'tooluse_0123456789abcdefABCDEF', name: 'weather', input: { city: 'Lviv' } } },
      ],
    },
  },
  stopReason: 'tool_use',
  usage: { inputTokens: 20, outputTokens: 30, totalTokens: 60, cacheReadInputTokens: 10, cacheWriteInputTokens: 0 },
  metrics: { latencyMs: 1 },
}
const streamed = [
  event('messageStart', { role: 'assistant' }),
  event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'It is ' } }),
  event('contentBlockDelta', { contentBlockIndex: 0, delta: { text: 'sunny ☀.' } }),
  event('contentBlockStop', { contentBlockIndex: 0 }),
  event('messageStop', { stopReason: 'end_turn' }),
  event('metadata', { usage: { inputTokens: 50, outputTokens: 6, totalTokens: 56 }, metrics: { latencyMs: 1 } }),
]

async function textOf(client: BedrockRuntimeClient, messages: Message[]): Promise<string> {
  const { stream } = await client.send(new ConverseStreamCommand({ modelId, messages }))
  let text = ''
  for await (const part of stream ?? []) text += part.contentBlockDelta?.delta?.text ?? ''
  return text
}

test('a tool is called whole and its result told in a stream: one run, two steps, the call and what it gave', async t => {
  const { up, gateway, client } = await staged(t)
  up.next(answersJson(called), frames(...streamed))
  const first = await client.send(new ConverseCommand({ modelId, messages: [user('weather?')] }))
  assert.deepEqual(first.output?.message, called.output.message)
  assert.equal(first.usage?.cacheReadInputTokens, 10)
  const toolUse = first.output?.message?.content?.[1]?.toolUse
  const messages: Message[] = [
    user('weather?'),
    ...(first.output?.message === undefined ? [] : [first.output.message]),
    {
      role: 'user',
      content: [
        { toolResult: { toolUseId: toolUse?.toolUseId, content: [{ json: { sky: 'clear' } }] } },
        { cachePoint: { type: 'default' } },
      ],
    },
  ]
  assert.equal(await textOf(client, messages), 'It is sunny ☀.')

  const seen = await up.request(1)
  assert.equal(seen.path, '/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse')
  assert.equal(seen.header('authorization'), `Bearer ${providerKey}`)
  assert.ok(!JSON.stringify(up.arrived.map(one => one.rawHeaders)).includes(gateway.key))
  assert.equal((await up.request(2)).path, '/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream')

  const facts = await gateway.facts(events => callsOf(events).length === 2)
  const [whole, stream] = callsOf(facts)
  assert.partialDeepStrictEqual(whole, {
    protocol: 'bedrock',
    operation: 'chat',
    model_requested: modelId,
    input_tokens: 30,
    output_tokens: 30,
    cache_read_tokens: 10,
    finish_reason: 'tool_use',
    usage_source: 'provider',
    step: 1,
  })
  assert.equal(whole?.cost_nano_usd, 20 * 3300 + 10 * 330 + 30 * 16_500)
  assert.partialDeepStrictEqual(stream, {
    input_tokens: 50,
    output_tokens: 6,
    stream: true,
    outcome: 'success',
    step: 2,
  })
  assert.ok((stream?.ttft_ms ?? 0) > 0)
  assert.equal(runsOf(facts).size, 1)
  assert.deepEqual(toolsOf(facts), [
    ['tool.called', 'weather', '{"city":"Lviv"}'],
    ['tool.returned', 'weather', '{"sky":"clear"}'],
  ])
})

test('a model is invoked with a body of its own, at once and in pieces', async t => {
  const { up, gateway, client } = await staged(t)
  const embedding = { embedding: [0.5, 0.25], inputTextTokenCount: 3 }
  const start = { type: 'message_start', message: { id: 'msg_1', model: 'claude', usage: { input_tokens: 9 } } }
  const words = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello' } }
  up.next(
    answersJson(embedding, { headers: ['x-amzn-bedrock-input-token-count', '3'] }),
    frames(
      ...[
        start,
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        words,
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
        { type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 9, outputTokenCount: 3 } },
      ].map(chunk),
    ),
  )
  const vector = await client.send(
    new InvokeModelCommand({ modelId: arn, body: JSON.stringify({ inputText: 'x', normalize: true }) }),
  )
  assert.deepEqual(JSON.parse(vector.body.transformToString()), embedding)
  const body = { anthropic_version: 'bedrock-2023-05-31', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] }
  const { body: stream } = await client.send(
    new InvokeModelWithResponseStreamCommand({ modelId, contentType: 'application/json', body: JSON.stringify(body) }),
  )
  const told: unknown[] = []
  for await (const part of stream ?? []) told.push(JSON.parse(Buffer.from(part.chunk?.bytes ?? []).toString()).type)
  assert.deepEqual(told.slice(0, 2), ['message_start', 'content_block_start'])
  assert.equal((await up.request(1)).path, `/model/${encodeURIComponent(arn)}/invoke`)

  const [embedded, written] = callsOf(await gateway.facts(events => callsOf(events).length === 2))
  assert.partialDeepStrictEqual(embedded, { operation: 'embeddings', model_requested: arn, input_tokens: 3 })
  assert.deepEqual([embedded?.output_tokens, embedded?.cost_nano_usd], [undefined, undefined])
  assert.partialDeepStrictEqual(written, {
    operation: 'chat',
    input_tokens: 9,
    output_tokens: 3,
    finish_reason: 'end_turn',
  })
})

test('tokens are counted for nothing', async t => {
  const { up, gateway, client } = await staged(t)
  up.next(answersJson({ inputTokens: 13 }))
  const counted = await client.send(
    new CountTokensCommand({ modelId, input: { converse: { messages: [user('how many?')] } } }),
  )
  assert.equal(counted.inputTokens, 13)
  const [row] = callsOf(await gateway.facts(events => callsOf(events).length === 1))
  assert.partialDeepStrictEqual(row, { operation: 'count_tokens', cost_nano_usd: 0 })
  assert.equal(row?.input_tokens, undefined)
})

test('errors have AWS’s names: the provider’s own, and ours with our code', async t => {
  const { up, gateway, client } = await staged(t, undefined, {
    agents: { barred: { keys: [], models: { allow: ['amazon.*'] } } },
  })
  up.next(fails(400, { message: 'no such model' }), (request: Arrived) => withType(request))
  const ask = (from = client) => from.send(new ConverseCommand({ modelId, messages: [user('hi')] }))
  await assert.rejects(ask(), { message: 'no such model' })
  await assert.rejects(ask(), { name: 'ModelNotReadyException', message: 'wait' })
  const signing = clientOf(t, gateway, {
    token: { token: '' },
    authSchemePreference: ['sigv4'],
    credentials: { accessKeyId: 'AKIDCLIENT', secretAccessKey: 'secret-of-the-client' },
  })
  await assert.rejects(ask(signing), {
    name: 'UnrecognizedClientException',
    code: 'unauthenticated',
    message: /AWS_BEARER_TOKEN_BEDROCK/,
  })
  await assert.rejects(
    client.send(new ConverseCommand({ modelId, messages: [user('hi')], additionalModelRequestFields: deep(600) })),
    { name: 'ValidationException', code: 'invalid_request' },
  )
  assert.equal(up.arrived.length, 2)
  const rows = callsOf(await gateway.facts(events => callsOf(events).length === 2))
  assert.deepEqual(
    rows.map(row => row.error_type),
    ['error', 'ModelNotReadyException'],
  )
})

const withType = (_request: Arrived): Reply =>
  answersJson({ message: 'wait' }, { status: 429, headers: ['x-amzn-errortype', 'ModelNotReadyException:http://x'] })

/** Nested beyond what the gateway reads. */
const deep = (levels: number): Record<string, never> => {
  let value: object = {}
  for (let i = 0; i < levels; i++) value = { a: value }
  return value as Record<string, never> // a document, of whatever depth
}

test('a stream that breaks off ends with an exception that the SDK throws', async t => {
  const { up, client, gateway } = await staged(t)
  const half = Buffer.concat(streamed.slice(0, 3)).subarray(0, -9)
  const broken = breaksStream([]).slice(0, -1)
  up.next([
    ...broken,
    ...answersInSlices([half], { headers: ['content-type', 'application/vnd.amazon.eventstream'] }).slice(1, -1),
    { finally: 'reset' },
  ])
  await assert.rejects(textOf(client, [user('hi')]), {
    name: 'ModelStreamErrorException',
    message: /broke off/,
  })
  const [row] = callsOf(await gateway.facts(events => callsOf(events).length === 1))
  assert.partialDeepStrictEqual(row, { outcome: 'error', usage_source: 'estimated' })
})

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const hex = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The signature that AWS would compute from what arrived. */
function signatureOf(request: Arrived): string {
  const names = /SignedHeaders=([^,]+)/.exec(request.header('authorization') ?? '')?.[1]?.split(';') ?? []
  const canonical = [
    request.method,
    request.path.split('/').map(encodeURIComponent).join('/'),
    '',
    ...names.map(name => `${name}:${request.header(name)}`),
    '',
    names.join(';'),
    hex(request.body),
  ].join('\n')
  const time = request.header('x-amz-date') ?? ''
  const scope = `${time.slice(0, 8)}/us-east-1/bedrock/aws4_request`
  const key = scope
    .split('/')
    .reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${AWS.AWS_SECRET_ACCESS_KEY}`)
  return hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${hex(canonical)}`).toString('hex')
}

test('without a bearer token each request is signed with AWS’s keys, a second try anew', async t => {
  const { up, client } = await staged(
    t,
    {},
    { routes: [{ models: ['*'], targets: [{ provider: 'bedrock' }], retry: { attempts: 2, baseMs: 1, maxMs: 2 } }] },
  )
  up.next(fails(503, { message: 'later' }), answersJson(called))
  await client.send(new ConverseCommand({ modelId, messages: [user('weather?')] }))
  for (const request of [await up.request(1), await up.request(2)]) {
    const authorization = request.header('authorization') ?? ''
    assert.match(authorization, /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//)
    assert.ok(authorization.endsWith(signatureOf(request)), request.path)
    assert.equal(request.header('host'), `127.0.0.1:${up.port}`)
  }
})
