import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFrames } from '../../services/core/wire/frames.ts'
import type { Refusal } from '../../services/gateway/protocols/protocol.ts'
import {
  anthropic,
  bedrock,
  cohere,
  gemini,
  matchRoute,
  openai,
  protocols,
} from '../../services/gateway/protocols/protocols.ts'

const budget: Refusal = {
  code: 'budget_exceeded',
  status: 402,
  message: 'The budget is used up.',
  facts: { scope: 'team/a', limit_nano_usd: 10, code: 'not ours', message: 'nor this' },
}
const busy: Refusal = { code: 'backoff', status: 429, message: 'Slow down.', retryAfterMs: 1500 }
const parsed = (body: Buffer) => JSON.parse(body.toString()) as Record<string, Record<string, unknown>>

test('a refusal has the shape of the protocol, our code, and the facts beside it', () => {
  assert.deepEqual(parsed(openai.refusal(budget).body), {
    error: {
      message: 'The budget is used up.',
      type: 'insufficient_quota',
      param: null,
      code: 'budget_exceeded',
      scope: 'team/a',
      limit_nano_usd: 10,
    },
  })
  assert.deepEqual(parsed(anthropic.refusal(budget).body), {
    type: 'error',
    error: {
      type: 'billing_error',
      message: 'The budget is used up.',
      code: 'budget_exceeded',
      scope: 'team/a',
      limit_nano_usd: 10,
    },
  })
  assert.deepEqual(parsed(gemini.refusal(budget).body), {
    error: {
      code: 402,
      message: 'The budget is used up.',
      status: 'RESOURCE_EXHAUSTED',
      details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'budget_exceeded', domain: 'sluice' }],
      scope: 'team/a',
      limit_nano_usd: 10,
    },
  })
  for (const { refusal } of [bedrock, cohere])
    assert.deepEqual(parsed(refusal(budget).body), {
      message: 'The budget is used up.',
      code: 'budget_exceeded',
      scope: 'team/a',
      limit_nano_usd: 10,
    })
})

test('each protocol has its own word for a status', () => {
  const words = (status: number) =>
    [openai, anthropic, gemini].map(({ refusal }) => {
      const error = parsed(refusal({ code: 'x', status, message: '' }).body)['error']
      return error?.['status'] ?? error?.['type']
    })
  assert.deepEqual(words(400), ['invalid_request_error', 'invalid_request_error', 'INVALID_ARGUMENT'])
  assert.deepEqual(words(401), ['authentication_error', 'authentication_error', 'UNAUTHENTICATED'])
  assert.deepEqual(words(403), ['permission_error', 'permission_error', 'PERMISSION_DENIED'])
  assert.deepEqual(words(404), ['invalid_request_error', 'not_found_error', 'NOT_FOUND'])
  assert.deepEqual(words(413), ['invalid_request_error', 'request_too_large', 'INVALID_ARGUMENT'])
  assert.deepEqual(words(429), ['rate_limit_error', 'rate_limit_error', 'RESOURCE_EXHAUSTED'])
  assert.deepEqual(words(502), ['api_error', 'api_error', 'UNAVAILABLE'])
  assert.deepEqual(words(503), ['overloaded_error', 'overloaded_error', 'UNAVAILABLE'])
  assert.deepEqual(words(504), ['api_error', 'timeout_error', 'DEADLINE_EXCEEDED'])
})

test('AWS’s SDKs find the name of an error in a header, and none that they try again stands for what is final', () => {
  const name = (status: number) => bedrock.refusal({ code: 'x', status, message: '' }).headers['x-amzn-errortype']
  assert.deepEqual([429, 503, 504].map(name), [
    'ThrottlingException',
    'ServiceUnavailableException',
    'ModelTimeoutException',
  ])
  for (const status of [400, 401, 402, 403, 404, 413, 423])
    assert.doesNotMatch(name(status) ?? '', /Throttl|LimitExceeded|Slow|Skew|Expired|Signature|TooMany|Timeout/)
})

test('what is final tells SDKs not to try again; what is not tells them when', () => {
  for (const protocol of protocols) {
    assert.equal(protocol.refusal(budget).headers['x-should-retry'], 'false')
    const { headers, body } = protocol.refusal(busy)
    assert.deepEqual(
      [headers['x-should-retry'], headers['retry-after'], headers['retry-after-ms']],
      [undefined, '2', '1500'],
    )
    assert.equal(headers['content-type'], 'application/json')
    if (protocol === gemini) assert.match(body.toString(), /"retryDelay":"1.5s"/)
    assert.equal(
      protocol.refusal({ code: 'upstream_timeout', status: 504, message: '' }).headers['x-should-retry'],
      undefined,
    )
  }
})

test('a stream under way ends with an event of its own kind', () => {
  const eventAt = (path: string, query?: string) => {
    const hit = matchRoute('POST', path)
    assert.ok(hit)
    return hit.protocol.streamError(hit.matched, budget, query).toString()
  }
  const converse = matchRoute('POST', '/model/m/converse-stream')
  assert.ok(converse)
  const told: (readonly [string, string | null])[] = []
  const reader = readFrames(1_000)
  reader.push(bedrock.streamError(converse.matched, budget), (name, data) => told.push([name, data]))
  assert.deepEqual(
    told.map(([name, text]) => [name, JSON.parse(text ?? '').code]),
    [['exception validationException', 'budget_exceeded']],
  )
  const data = (event: string) => JSON.parse(event.slice(event.indexOf('data: ') + 6))
  const chat = eventAt('/v1/chat/completions')
  assert.match(chat, /^\n\ndata: \{.*\}\n\n$/)
  assert.equal(data(chat).error.code, 'budget_exceeded')
  const responses = eventAt('/v1/responses')
  assert.match(responses, /^\n\nevent: error\ndata: /)
  assert.deepEqual(
    [data(responses).type, data(responses).code, data(responses).error.code],
    ['error', 'budget_exceeded', 'budget_exceeded'],
  )
  const messages = eventAt('/v1/messages')
  assert.match(messages, /^\n\nevent: error\ndata: /)
  assert.deepEqual([data(messages).type, data(messages).error.code], ['error', 'budget_exceeded'])
  const ended = eventAt('/v2/chat')
  assert.match(ended, /^\n\nevent: message-end\ndata: /)
  assert.deepEqual([data(ended).delta.finish_reason, data(ended).code], ['ERROR', 'budget_exceeded'])
  const content = '/v1beta/models/m:streamGenerateContent'
  for (const query of [undefined, 'alt=sse', '?x=1&alt=sse'])
    assert.equal(data(eventAt(content, query)).error.details[0].reason, 'budget_exceeded')
  assert.equal(JSON.parse(`[{}${eventAt(content, 'x=1')}`)[1].error.code, 402, 'an array ends as an array')
})

test('a list of models has the shape that its protocol’s SDK reads', () => {
  assert.deepEqual(Object.keys(openai.modelList(['a']) as object), ['object', 'data'])
  assert.deepEqual((anthropic.modelList([]) as Record<string, unknown>)['first_id'], null)
  assert.match(JSON.stringify(gemini.modelList(['a'])), /"models\/a"/)
})
