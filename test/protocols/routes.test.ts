import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProtocolName } from '../../schemas/work.ts'
import { matchPinned, matchRoute } from '../../services/gateway/protocols/protocols.ts'

const open = (method: string, path: string, version?: string) => {
  const hit = matchRoute(method, path, version)
  return hit && [hit.protocol.name, hit.matched.route.operation, hit.matched.upstreamPath]
}
const pinned = (protocol: ProtocolName, method: string, path: string) =>
  matchPinned(protocol, method, path)?.matched.upstreamPath ?? null

test('an un-prefixed path belongs to the protocol whose it is', () => {
  assert.deepEqual(open('POST', '/v1/chat/completions'), ['openai', 'chat', '/chat/completions'])
  assert.deepEqual(open('POST', '/v1/responses'), ['openai', 'chat', '/responses'])
  assert.deepEqual(open('GET', '/v1/responses/resp_1'), ['openai', 'retrieve', '/responses/resp_1'])
  assert.deepEqual(open('POST', '/v1/embeddings'), ['openai', 'embeddings', '/embeddings'])
  assert.deepEqual(open('GET', '/v1/models/gpt-4o'), ['openai', 'get_model', '/models/gpt-4o'])
  assert.deepEqual(open('POST', '/v1/messages'), ['anthropic', 'chat', '/v1/messages'])
  assert.deepEqual(open('POST', '/v1/messages/count_tokens'), [
    'anthropic',
    'count_tokens',
    '/v1/messages/count_tokens',
  ])
  for (const version of ['v1beta', 'v1', 'v1alpha'])
    assert.deepEqual(open('POST', `/${version}/models/gemini-2.5-flash:generateContent`), [
      'gemini',
      'generate_content',
      `/${version}/models/gemini-2.5-flash:generateContent`,
    ])
  assert.deepEqual(open('GET', '/v1beta/models'), ['gemini', 'list_models', '/v1beta/models'])
})

test("the list of models is OpenAI's, unless the request says that it speaks Anthropic's version of anything", () => {
  assert.deepEqual(open('GET', '/v1/models'), ['openai', 'list_models', '/models'])
  assert.deepEqual(open('GET', '/v1/models', '2023-06-01'), ['anthropic', 'list_models', '/v1/models'])
  assert.deepEqual(open('POST', '/v1/chat/completions', '2023-06-01'), ['openai', 'chat', '/chat/completions'])
})

test("behind a provider's name the vendor SDK's habit is dropped", () => {
  assert.equal(pinned('openai', 'POST', '/openai/v1/chat/completions'), '/chat/completions')
  assert.equal(pinned('openai', 'POST', '/chat/completions'), '/chat/completions')
  assert.equal(pinned('openai', 'POST', '/api/paas/v4/chat/completions'), '/chat/completions')
  assert.equal(pinned('openai', 'POST', '/openai/deployments/gpt-4o/chat/completions'), '/chat/completions')
  assert.equal(pinned('openai', 'POST', '/responses'), '/responses')
  assert.equal(pinned('openai', 'GET', '/api/v1/models/meta/llama-3'), '/models/meta/llama-3')
  assert.equal(pinned('anthropic', 'POST', '/v1/messages'), '/v1/messages')
  const vertex = '/v1/projects/x/locations/y/publishers/google/models/m:generateContent'
  assert.equal(pinned('gemini', 'POST', vertex), '/v1beta/models/m:generateContent')
  assert.equal(pinned('gemini', 'POST', '/v1/models/m:generateContent'), '/v1/models/m:generateContent')
})

test('a name in the path is decoded for us and stays as written for the provider', () => {
  const hit = matchRoute('POST', '/v1beta/models/my%3Amodel%20x:streamGenerateContent')
  assert.equal(hit?.matched.params['model'], 'my:model x')
  assert.equal(hit?.matched.upstreamPath, '/v1beta/models/my%3Amodel%20x:streamGenerateContent')
  const encoded = matchRoute('POST', '/v1beta/models/gemini-2.5-flash%3AgenerateContent')
  assert.equal(encoded?.matched.params['model'], 'gemini-2.5-flash')
  assert.equal(encoded?.matched.upstreamPath, '/v1beta/models/gemini-2.5-flash%3AgenerateContent')
  assert.equal(matchRoute('POST', '/v1beta/models/50%:generateContent')?.matched.params['model'], '50%')
  const tuned = matchRoute('POST', '/v1beta/tunedModels/mine:generateContent')
  assert.equal(tuned?.protocol.ask(tuned.matched, {}).model, 'tunedModels/mine')
})

test('every other path is no door', () => {
  for (const [method, path] of [
    ['GET', '/v1/chat/completions'],
    ['POST', '/v1/files'],
    ['POST', '/chat/completions'],
    ['POST', '/v1/chat/completions/'],
    ['POST', '/v1beta/models/:generateContent'],
    ['POST', '/v1beta/models/a/b:generateContent'],
    ['POST', '/v1beta/models/m:tuneModel'],
    ['GET', '/v1/models/../secrets'],
    ['GET', '/v1/models/x/%2e%2e/y'],
    ['GET', '/v1/responses/a/input_items'],
    ['DELETE', '/v1/responses/a'],
    ['POST', '/__proto__'],
    ['constructor', '/v1/models'],
    ['POST', ''],
  ] as const)
    assert.equal(matchRoute(method, path), null, `${method} ${path}`)
  assert.equal(pinned('openai', 'POST', '/v1/files'), null)
  assert.equal(pinned('anthropic', 'POST', '/v1/threads/t/messages/m'), null)
  assert.equal(pinned('mcp', 'POST', '/model/m/converse'), null)
  assert.equal(matchRoute('POST', '/model//converse'), null)
  assert.equal(matchRoute('POST', '/model/m/async-invoke'), null)
  assert.equal(matchRoute('POST', '/model/../v1/converse'), null)
})

test('a model of Bedrock is whatever stands in the path, and goes on with the bytes that it came with', () => {
  const arn = 'arn:aws:bedrock:us-east-1:000000000000:application-inference-profile/abc'
  for (const [written, model] of [
    ['us.anthropic.claude-sonnet-4-5-20250929-v1%3A0', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'],
    ['anthropic.claude-sonnet-4-20250514-v1:0', 'anthropic.claude-sonnet-4-20250514-v1:0'],
    [arn, arn],
    [encodeURIComponent(arn), arn],
  ] as const)
    for (const action of ['converse', 'converse-stream', 'invoke', 'invoke-with-response-stream', 'count-tokens']) {
      const path = `/model/${written}/${action}`
      for (const hit of [matchRoute('POST', path), matchPinned('bedrock', 'POST', path)]) {
        assert.deepEqual([hit?.matched.params['model'], hit?.matched.upstreamPath], [model, path])
        assert.match(hit?.matched.route.path ?? '', new RegExp(`/${action}$`))
      }
    }
  const hit = matchRoute('POST', '/model/a%3A0/converse-stream')
  assert.equal(
    hit?.protocol.withModel(hit.matched, Buffer.from('{}'), arn).upstreamPath,
    `/model/${encodeURIComponent(arn)}/converse-stream`,
  )
})

test('Cohere’s paths have two versions, and what Responses can do besides has its own', () => {
  assert.deepEqual(open('POST', '/v2/chat'), ['cohere', 'chat', '/v2/chat'])
  assert.deepEqual(open('POST', '/v1/tokenize'), ['cohere', 'count_tokens', '/v1/tokenize'])
  assert.equal(pinned('cohere', 'POST', '/v2/embed'), '/v2/embed')
  assert.deepEqual(open('POST', '/v1/responses/compact'), ['openai', 'chat', '/responses/compact'])
  assert.deepEqual(open('POST', '/v1/responses/input_tokens'), ['openai', 'count_tokens', '/responses/input_tokens'])
  assert.deepEqual(open('POST', '/v1/responses/r/cancel'), ['openai', 'retrieve', '/responses/r/cancel'])
  assert.equal(pinned('openai', 'POST', '/v1/responses/r/cancel'), '/responses/r/cancel')
  assert.equal(pinned('openai', 'POST', '/v1/fim/completions'), '/fim/completions')
})

test('another model goes where the protocol names models', () => {
  const chat = matchPinned('openai', 'POST', '/v1/chat/completions')
  const body = Buffer.from('{ "model" : "gpt-4o", "messages":[] }')
  assert.deepEqual(chat?.protocol.withModel(chat.matched, body, 'openai/gpt-4o'), {
    bytes: Buffer.from('{ "model" : "openai/gpt-4o", "messages":[] }'),
    upstreamPath: '/chat/completions',
  })
  const content = matchPinned('gemini', 'POST', '/v1beta/models/a%20b%3AgenerateContent')
  assert.deepEqual(content?.protocol.withModel(content.matched, body, 'c d'), {
    bytes: body,
    upstreamPath: '/v1beta/models/c%20d%3AgenerateContent',
  })
  const embed = matchPinned('gemini', 'POST', '/v1beta/models/a:embedContent')
  const vector = Buffer.from('{"model":"models/a","content":{}}')
  assert.equal(
    embed?.protocol.withModel(embed.matched, vector, 'b').bytes.toString(),
    '{"model":"models/b","content":{}}',
  )
})
