import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maxReadBytes } from '../../services/gateway/protocols/meter.ts'
import type { AnswerHead, Meter, MeterOptions } from '../../services/gateway/protocols/protocol.ts'
import { matchRoute } from '../../services/gateway/protocols/protocols.ts'

const sse = 'text/event-stream'
const meterAt = (
  path: string,
  head: Partial<AnswerHead> = {},
  options: Partial<MeterOptions> = {},
  method = 'POST',
): Meter => {
  const hit = matchRoute(method, path)
  assert.ok(hit)
  const ask = hit.protocol.ask(hit.matched, { model: 'm', stream: true })
  return hit.protocol.meter(
    hit.matched,
    ask,
    { status: 200, contentType: sse, ...head },
    { hideUsage: false, ...options },
  )
}
const chat = (head: Partial<AnswerHead> = {}, options: Partial<MeterOptions> = {}) =>
  meterAt('/v1/chat/completions', head, options)

const readingOf = (meter: Meter, text: string, whole = true) => {
  meter.push(Buffer.from(text))
  return meter.end(whole).reading
}
const textOf = (pieces: readonly Buffer[]) => Buffer.concat(pieces).toString()

const chunk = (content: string, finish: string | null = null) =>
  `data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":${JSON.stringify(finish)}}]}\n\n`
const usageChunk = 'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
const done = 'data: [DONE]\n\n'

test('a chunk passes at once as the very bytes that came, cut as it is', () => {
  const meter = chat()
  for (const text of ['da', 'ta: {"id', `":1}\n\n${chunk('x')}da`, 'ta: [DO', 'NE]\n\n']) {
    const bytes = Buffer.from(text)
    const out = meter.push(bytes)
    assert.equal(out.length, 1)
    assert.equal(out[0], bytes)
  }
})

test('hidden usage is read and not passed, wherever it stands', () => {
  for (const [stream, left] of [
    [chunk('a') + usageChunk + done, chunk('a') + done],
    [usageChunk + chunk('a') + usageChunk + chunk('b') + done, chunk('a') + chunk('b') + done],
    [`: ping\n\n${usageChunk}: ping\n\n${done}`, `: ping\n\n: ping\n\n${done}`],
    [chunk('a') + usageChunk.trimEnd(), chunk('a')],
    [usageChunk, ''],
  ] as const)
    for (const size of [1, 7, 50, 1000]) {
      const meter = chat({}, { hideUsage: true })
      const bytes = Buffer.from(stream)
      const out: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) out.push(...meter.push(bytes.subarray(at, at + size)))
      const { rest, reading } = meter.end(true)
      assert.equal(textOf([...out, ...rest]), left)
      assert.deepEqual(reading.usage, { input_tokens: 1, output_tokens: 2 })
    }
})

test('a chunk with usage that says more than that is passed', () => {
  for (const event of [
    'data: {"choices":[],"usage":null}\n\n',
    'data: {"choices":[],"prompt_filter_results":[]}\n\n',
    'data: {"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}\n\n',
    'data: {"choices":[],"usage":{"prompt_tokens":1},"error":{"code":1}}\n\n',
    'data: {"usage":{"prompt_tokens":1}}\n\n',
  ])
    assert.equal(textOf(chat({}, { hideUsage: true }).push(Buffer.from(event))), event)
})

test('no more than the event under way is held back', () => {
  const meter = chat({}, { hideUsage: true })
  const half = usageChunk.slice(0, 30)
  assert.equal(textOf(meter.push(Buffer.from(chunk('a') + half))), chunk('a'))
  assert.equal(textOf(meter.push(Buffer.from(usageChunk.slice(30) + chunk('b')))), chunk('b'))
  const big = `data: {"choices":[],"usage":{"x":"${'y'.repeat(400_000)}"}}`
  assert.equal(textOf(meter.push(Buffer.from(big))), big, 'what is as large as this is no usage chunk')
  assert.equal(textOf(meter.push(Buffer.from(`\n\n${done}`))), `\n\n${done}`, 'and its end follows it')
})

test('with whole events, an error event can follow after any chunk', () => {
  const meter = chat({}, { wholeEvents: true })
  assert.equal(textOf(meter.push(Buffer.from(`${chunk('a')}data: {"id`))), chunk('a'))
  assert.deepEqual(meter.end(false).rest, [], 'half an event of a broken stream is nobody’s')
  const other = chat({}, { wholeEvents: true })
  other.push(Buffer.from(chunk('a')))
  assert.deepEqual(other.push(Buffer.from('data: [DONE]')), [])
  assert.equal(textOf(other.end(true).rest), 'data: [DONE]', 'a whole answer loses nothing')
})

test('a stream is complete when its protocol says so, and not before', () => {
  const complete = (meter: Meter, text: string) => readingOf(meter, text).complete
  assert.equal(complete(chat(), chunk('a', 'stop') + done), true)
  assert.equal(complete(chat(), chunk('a', 'stop')), false)
  assert.equal(readingOf(chat(), chunk('a', 'stop') + done, false).complete, false)
  const start =
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
  const stop = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
  assert.equal(complete(meterAt('/v1/messages'), start + stop), true)
  const broken = readingOf(meterAt('/v1/messages'), start)
  assert.deepEqual([broken.complete, broken.usage], [false, { input_tokens: 3 }], 'the stub of an output is no output')
  const answer = (status: string) =>
    `event: response.${status}\ndata: {"type":"response.${status}","response":{"status":"${status}"}}\n\n`
  for (const status of ['completed', 'incomplete']) {
    const reading = readingOf(meterAt('/v1/responses'), `${answer(status)}data: [DONE]\n\n`)
    assert.deepEqual([reading.complete, reading.finishReason], [true, status])
  }
  assert.equal(
    complete(meterAt('/v1/responses'), 'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'),
    false,
  )
  const gemini = (text: string) => complete(meterAt('/v1beta/models/m:streamGenerateContent'), text)
  assert.equal(gemini('data: {"candidates":[{"content":{}}]}\n\n'), false)
  assert.equal(gemini('data: {"candidates":[{"finishReason":"STOP"}]}\n\n'), true)
  assert.equal(gemini('data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n'), true)
  assert.equal(gemini('[{"candidates":[{"finishReason":"STOP"}]}]'), true)
  assert.equal(gemini('[{"candidates":[{"finishReason":"STOP"}]},'), false)
})

test('what is not the protocol’s is not complete, whatever its status and content type say', () => {
  for (const text of [
    '',
    '   ',
    '<html>ok</html>',
    'error code: 502',
    '{"choices":[',
    '{"hello":"world"}',
    '[]',
    '"text"',
    'null',
    'data: {"choices":[{"delta":\n\ndata: [DONE]\n\n',
    'data: not json\n\ndata: [DONE]\n\n',
    'data: [DONE]\n\n',
    ': only a comment\n\n',
  ])
    for (const contentType of [sse, 'application/json', 'application/octet-stream', ''])
      assert.equal(readingOf(chat({ contentType }), text).complete, false, `${contentType} ${text}`)
})

test('content types lie: an answer is what its first byte says', () => {
  const whole =
    '{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
  for (const contentType of [sse, 'text/html', '']) {
    assert.equal(readingOf(chat({ contentType }), `\n\ufeff ${whole}`).complete, true)
    assert.equal(readingOf(chat({ contentType }), `\ufeff${chunk('a')}${done}`).complete, true)
  }
})

test('an error says its type, in whichever shape it comes', () => {
  const errorOf = (status: number, text: string) => readingOf(chat({ status }), text).error?.type ?? null
  assert.equal(errorOf(400, '{"error":{"type":"a","status":"b","code":"c"}}'), 'a')
  assert.equal(errorOf(400, '{"error":{"type":null,"status":"B","code":"c"}}'), 'B')
  assert.equal(errorOf(400, '{"error":{"type":"","code":502}}'), '502')
  assert.equal(
    errorOf(422, '{"object":"error","message":"m","type":"invalid_request_error","code":"1500"}'),
    'invalid_request_error',
  )
  assert.equal(errorOf(500, '[{"error":{"status":"INTERNAL"}}]'), 'INTERNAL')
  assert.equal(errorOf(422, '{"detail":[{"msg":"wrong"}]}'), 'error')
  assert.equal(errorOf(404, '{"error":"model not found"}'), 'model not found')
  assert.equal(errorOf(500, 'data: {"error":{"type":"api_error"}}\n\n'), 'api_error')
  assert.equal(errorOf(502, '<html>Bad gateway</html>'), null)
  assert.equal(errorOf(200, '{"error":{"message":"m","code":502}}'), '502')
  assert.equal(
    errorOf(
      200,
      `${chunk('a')}data: {"choices":[{"delta":{},"finish_reason":"error"}],"error":{"code":"server_error"}}\n\n${done}`,
    ),
    'server_error',
  )
  assert.equal(errorOf(200, 'event: error\ndata: {"message":"m","code":7}\n\n'), '7')
  const responses = readingOf(
    meterAt('/v1/responses'),
    'event: error\ndata: {"type":"error","code":"rate_limit","message":"m"}\n\n',
  )
  assert.deepEqual(responses.error, { type: 'rate_limit', message: 'm' })
})

test('a first token of content is told from what only frames it', () => {
  const meter = chat()
  meter.push(Buffer.from('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n: ping\n\n'))
  assert.equal(meter.hasContent(), false)
  meter.push(Buffer.from(chunk('H')))
  assert.equal(meter.hasContent(), true)
  for (const [path, frame, content] of [
    [
      '/v1/messages',
      'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text","text":""}}\n\n',
      'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"h"}}\n\n',
    ],
    [
      '/v1/responses',
      'event: response.in_progress\ndata: {"type":"response.in_progress"}\n\n',
      'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"h"}\n\n',
    ],
    [
      '/v1beta/models/m:streamGenerateContent',
      'data: {"candidates":[{"content":{"parts":[{"text":""}]}}]}\n\n',
      'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}}}]}}]}\n\n',
    ],
  ] as const) {
    const other = meterAt(path)
    other.push(Buffer.from(frame))
    assert.equal(other.hasContent(), false, path)
    other.push(Buffer.from(content))
    assert.equal(other.hasContent(), true, path)
  }
})

test('a stream that breaks off has an estimate of what was written', () => {
  const reading = readingOf(chat(), chunk('The quick brown') + chunk(' fox'), false)
  assert.equal(reading.outputBytes, 19)
  assert.ok(reading.estimatedOutputTokens >= 4)
  const half = readingOf(chat(), '{"choices":[{"message":{"content":"The quick brown fox', false)
  assert.ok(half.estimatedOutputTokens >= 4, 'as has half a document')
})

test('a whole answer without usage is counted from its text', () => {
  const reading = readingOf(
    chat(),
    '{"choices":[{"message":{"content":"The quick brown fox","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}}]}',
  )
  assert.equal(reading.usage, null)
  assert.equal(reading.outputBytes, 22)
  assert.ok(reading.estimatedOutputTokens >= 7)
})

test('some vendors leave reasoning out of the output: then it is put in', () => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 115,
    completion_tokens_details: { reasoning_tokens: 100 },
  }
  const reading = readingOf(chat(), JSON.stringify({ choices: [], usage }))
  assert.deepEqual(reading.usage, { input_tokens: 10, output_tokens: 105, reasoning_tokens: 100 })
})

test('tokens that are priced apart are told by the names that price lists use', () => {
  const extras = (meter: Meter, answer: unknown) => readingOf(meter, JSON.stringify(answer)).extras
  assert.deepEqual(
    extras(chat(), {
      choices: [],
      usage: { prompt_tokens: 9, prompt_tokens_details: { audio_tokens: 4 }, num_cached_tokens: 2 },
    }),
    {
      input_audio_tokens: 4,
      cache_read_tokens: 2,
    },
  )
  assert.deepEqual(
    extras(meterAt('/v1/messages'), {
      content: [],
      usage: {
        input_tokens: 1,
        cache_creation: { ephemeral_1h_input_tokens: 7 },
        server_tool_use: { web_search_requests: 2 },
      },
    }),
    { cache_write_1h_tokens: 7, web_searches: 2 },
  )
  const details = [
    { modality: 'TEXT', tokenCount: 1 },
    { modality: 'IMAGE', tokenCount: 2 },
    { modality: 'DOCUMENT', tokenCount: 3 },
  ]
  assert.deepEqual(
    extras(meterAt('/v1beta/models/m:generateContent'), {
      candidates: [],
      usageMetadata: {
        promptTokenCount: 6,
        promptTokensDetails: details,
        candidatesTokensDetails: [{ modality: 'AUDIO', tokenCount: 5 }],
      },
    }),
    { input_image_tokens: 5, output_audio_tokens: 5 },
  )
})

test('an answer too large to read passes, and is no error', () => {
  const meter = chat()
  const piece = Buffer.alloc(1 << 20, 0x20)
  meter.push(Buffer.from('{'))
  for (let size = 0; size <= maxReadBytes; size += piece.length) assert.equal(meter.push(piece)[0], piece)
  const { reading } = meter.end(true)
  assert.deepEqual([reading.complete, reading.usage], [true, null])
})

test('the vectors of embeddings are passed over, and broken ones are noticed', () => {
  const vectors = `[${'0.125,'.repeat(100_000)}1]`
  const meter = () => meterAt('/v1/embeddings', { contentType: 'application/json' })
  const reading = readingOf(meter(), `{"data":[{"embedding":${vectors}}],"model":"e","usage":{"prompt_tokens":5}}`)
  assert.deepEqual([reading.complete, reading.model, reading.usage], [true, 'e', { input_tokens: 5 }])
  assert.equal(readingOf(meter(), `{"data":[{"embedding":${vectors}`).complete, false)
})
