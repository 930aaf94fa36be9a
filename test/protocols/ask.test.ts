import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ask } from '../../services/gateway/protocols/protocol.ts'
import { type Hit, matchRoute } from '../../services/gateway/protocols/protocols.ts'

const hitAt = (path: string, method = 'POST'): Hit => {
  const hit = matchRoute(method, path)
  assert.ok(hit)
  return hit
}
const chat = hitAt('/v1/chat/completions')
const responses = hitAt('/v1/responses')
const embeddings = hitAt('/v1/embeddings')
const messages = hitAt('/v1/messages')
const content = hitAt('/v1beta/models/gemini-2.5-flash:generateContent')
const stream = hitAt('/v1beta/models/gemini-2.5-flash:streamGenerateContent')

const askText = (hit: Hit, text: string): Ask => hit.protocol.ask(hit.matched, JSON.parse(text), Buffer.from(text))
const ask = (hit: Hit, body: unknown): Ask => askText(hit, JSON.stringify(body))

test('a request says its model, whether it streams, and how much may be written', () => {
  assert.deepEqual(ask(chat, { model: 'gpt-4o', stream: true, max_completion_tokens: 70, n: 3, messages: [] }), {
    model: 'gpt-4o',
    stream: true,
    maxTokens: 70,
    choices: 3,
    previousResponseId: null,
    invalid: null,
  })
  assert.equal(ask(chat, { model: 'm', max_tokens: 5 }).maxTokens, 5)
  assert.equal(ask(chat, { model: 'm', max_tokens: 5, max_completion_tokens: 9 }).maxTokens, 9)
  assert.equal(ask(chat, { model: 'm', max_tokens: null, stream: null, n: null }).maxTokens, null)
  const response = ask(responses, { model: 'm', max_output_tokens: 12, previous_response_id: 'resp_1' })
  assert.deepEqual([response.maxTokens, response.previousResponseId], [12, 'resp_1'])
  assert.deepEqual([ask(messages, { model: 'm', max_tokens: 8, stream: true })].map(a => [a.maxTokens, a.stream])[0], [
    8,
    true,
  ])
  const config = ask(content, { generationConfig: { maxOutputTokens: 99, candidateCount: 2 } })
  assert.deepEqual([config.model, config.maxTokens, config.choices, config.stream], ['gemini-2.5-flash', 99, 2, false])
  assert.equal(ask(content, { generation_config: { max_output_tokens: 77 } }).maxTokens, 77)
  assert.equal(ask(stream, {}).stream, true)
})

test('what writes nothing may write nothing', () => {
  assert.equal(ask(embeddings, { model: 'e', input: 'x' }).maxTokens, 0)
  assert.equal(ask(hitAt('/v1/messages/count_tokens'), { model: 'm' }).maxTokens, 0)
  assert.equal(ask(hitAt('/v1beta/models/e:batchEmbedContents'), { requests: [] }).maxTokens, 0)
  assert.equal(ask(hitAt('/v1/responses/input_tokens'), { model: 'm' }).maxTokens, 0)
  assert.equal(ask(hitAt('/model/m/count-tokens'), { input: {} }).maxTokens, 0)
  for (const path of ['/v2/embed', '/v2/rerank', '/v1/tokenize'])
    assert.equal(ask(hitAt(path), { model: 'm', max_tokens: 9 }).maxTokens, 0, path)
})

test('Bedrock has the model in its path and a limit wherever the model’s own body has one', () => {
  const at = (action: string, model = 'm') => hitAt(`/model/${encodeURIComponent(model)}/${action}`)
  const converse = ask(at('converse', 'us.a:0'), { messages: [], inferenceConfig: { maxTokens: 7 } })
  assert.deepEqual([converse.model, converse.maxTokens, converse.stream], ['us.a:0', 7, false])
  assert.equal(ask(at('converse-stream'), { messages: [] }).stream, true)
  for (const body of [
    { max_tokens: 9, messages: [] },
    { inferenceConfig: { max_new_tokens: 9 } },
    { textGenerationConfig: { maxTokenCount: 9 }, inputText: 'x' },
    { max_gen_len: 9, prompt: 'x' },
    { max_tokens: 3, max_completion_tokens: 9 },
  ])
    assert.equal(ask(at('invoke'), body).maxTokens, 9, JSON.stringify(body))
  assert.deepEqual(
    [ask(at('invoke-with-response-stream'), {})].map(it => [it.stream, it.maxTokens, it.operation]),
    [[true, null, undefined]],
  )
  assert.match(ask(at('converse', 'm'.repeat(3000)), {}).invalid ?? '', /too long/)
  assert.match(askText(at('converse'), '{"inferenceConfig":{"maxTokens":1,"maxTokens":2}}').invalid ?? '', /twice/)
  assert.match(askText(at('invoke'), '{"max_tokens":1,"max_tokens":2}').invalid ?? '', /twice/)
})

test('what is invoked is an embedding by the model’s name, or by a body that only embeddings have', () => {
  const arn = 'arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc'
  const operation = (model: string, body: unknown) =>
    ask(hitAt(`/model/${encodeURIComponent(model)}/invoke`), body).operation ?? 'chat'
  assert.equal(operation('amazon.titan-embed-text-v1', { inputText: 'x' }), 'embeddings')
  assert.equal(operation('cohere.embed-v4:0', { texts: [], input_type: 'x' }), 'embeddings')
  assert.equal(operation(arn, { inputText: 'x', normalize: true }), 'embeddings')
  assert.equal(operation(arn, { taskType: 'SINGLE_EMBEDDING' }), 'embeddings')
  assert.equal(operation(arn, { inputText: 'x', textGenerationConfig: {} }), 'chat')
  assert.equal(operation('amazon.titan-text-express-v1', { inputText: 'x' }), 'chat')
  assert.equal(operation('cohere.rerank-v3-5:0', {}), 'rerank')
})

test('an answer fetched later is streamed if the query says so', () => {
  const later = hitAt('/v1/responses/resp_1', 'GET')
  assert.equal(later.protocol.ask(later.matched, undefined).stream, false)
  assert.equal(later.protocol.ask(later.matched, null, undefined, 'starting_after=1&stream=true').stream, true)
  assert.equal(later.protocol.ask(later.matched, null, undefined, 'xstream=true').stream, false)
})

test('a body of which the provider could act on another half than we do is refused', () => {
  for (const [hit, text] of [
    [chat, '{"model":"cheap","messages":[],"model":"dear"}'],
    [chat, '{"model":"cheap","mod\\u0065l":"dear"}'],
    [chat, '{"model":"cheap","MODEL":"dear"}'],
    [chat, '{"model":"m","ſtream":true,"stream":false}'],
    [chat, '{"model":"m","max_tokens":1,"x":{"max_tokens":2},"max_tokens":9}'],
    [messages, '{"model":"m","max_tokens":1,"max_tokens":100}'],
    [content, '{"generationConfig":{},"generationConfig":{}}'],
    [content, '{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":100}}'],
    [content, '{"generationConfig":{},"generation_config":{}}'],
    [content, '{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":100}}'],
  ] as const)
    assert.match(askText(hit, text).invalid ?? '', /stands twice/, text)
  assert.equal(
    askText(chat, '{"model":"m","tools":[{"model":1,"stream":1}],"metadata":{"model":"x"},"user":"a","user":"b"}')
      .invalid,
    null,
  )
})

test('a body that cannot be served says why', () => {
  for (const [hit, body, why] of [
    [chat, [], /JSON object/],
    [chat, null, /JSON object/],
    [chat, 'text', /JSON object/],
    [chat, {}, /"model"/],
    [chat, { model: '' }, /"model"/],
    [chat, { model: ['m'] }, /"model"/],
    [chat, { model: 'm'.repeat(600) }, /too long/],
    [chat, { model: 'm', stream: 'true' }, /"stream"/],
    [chat, { model: 'm', max_tokens: '100000' }, /"max_tokens"/],
    [chat, { model: 'm', n: 1.5 }, /"n"/],
    [content, { generationConfig: { maxOutputTokens: true } }, /"maxOutputTokens"/],
  ] as const)
    assert.match(ask(hit, body).invalid ?? '', why, JSON.stringify(body).slice(0, 60))
  assert.equal(ask(chat, { model: 'm', max_tokens: -1 }).invalid, null, 'the provider has its own words for that')
  assert.equal(ask(chat, JSON.parse('{"model":"m","__proto__":{"stream":true}}')).stream, false)
})

test('usage is asked for by inserting bytes, whoever wrote them', () => {
  const prepared = (text: string) => {
    const { bytes, hideUsage } = chat.protocol.prepare(chat.matched, askText(chat, text), Buffer.from(text))
    return [bytes.toString('utf8'), hideUsage]
  }
  const wish = '"stream_options":{"include_usage":true}'
  for (const [text, expected, hide] of [
    ['{"model":"m","stream":true}', `{${wish},"model":"m","stream":true}`, true],
    ['{\n  "model": "m",\n  "stream": true\n}\n', `{${wish},\n  "model": "m",\n  "stream": true\n}\n`, true],
    [
      '{"model": "m", "x": "\\u00fc \\"stream_options\\"", "stream": true}',
      `{${wish},"model": "m", "x": "\\u00fc \\"stream_options\\"", "stream": true}`,
      true,
    ],
    ['{"model":"m","stream":true,"stream_options":{}}', `{"model":"m","stream":true,${wish}}`, true],
    [
      '{"model":"m","stream":true,"stream_options": { "a": 1 } }',
      '{"model":"m","stream":true,"stream_options": {"include_usage":true, "a": 1 } }',
      true,
    ],
    ['{"model":"m","stream":true,"stream_options":null}', `{"model":"m","stream":true,${wish}}`, true],
    ['{"model":"m","stream":true,"stream_options":false}', `{"model":"m","stream":true,${wish}}`, true],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
      `{"model":"m","stream":true,${wish}}`,
      true,
    ],
    [
      '{"model":"m","stream":true,"stream_options":{"include_usage": true}}',
      '{"model":"m","stream":true,"stream_options":{"include_usage": true}}',
      false,
    ],
    ['{"model":"m","stream":true,"stream_options":"all"}', '{"model":"m","stream":true,"stream_options":"all"}', false],
    ['{"model":"m","stream":false}', '{"model":"m","stream":false}', false],
  ] as const)
    assert.deepEqual(prepared(text), [expected, hide])
})
