import assert from 'node:assert/strict'
import { test } from 'node:test'
import { protocols } from '../../services/gateway/protocols/protocols.ts'

/** The body as it goes out when it is held to 700 output tokens. */
function limited(name: string, path: string, body: string): string | null {
  const protocol = protocols.find(one => one.name === name)
  const matched = protocol?.doors.open('POST', path)
  assert.ok(protocol !== undefined && matched != null, `${name} has a route ${path}`)
  const bytes = Buffer.from(body)
  return protocol.withLimit(matched, protocol.ask(matched, JSON.parse(body), bytes), bytes, 700)?.toString() ?? null
}

const chat = '/v1/chat/completions'
const converse = '/model/nova/converse'
const generate = '/v1beta/models/g:generateContent'

for (const [what, name, path, body, expected] of [
  [
    'a limit is lowered where it stands',
    'openai',
    chat,
    '{"model":"m", "max_tokens": 9000,"n":2}',
    '{"model":"m", "max_tokens": 700,"n":2}',
  ],
  [
    'both limits are lowered where there are two',
    'openai',
    chat,
    '{"max_completion_tokens":1,"model":"m","max_tokens":2}',
    '{"max_completion_tokens":700,"model":"m","max_tokens":700}',
  ],
  ['one that is missing is set', 'openai', chat, '{"model":"m"}', '{"max_tokens":700,"model":"m"}'],
  [
    'models that reason know the other name',
    'openai',
    chat,
    '{"model":"o3-mini"}',
    '{"max_completion_tokens":700,"model":"o3-mini"}',
  ],
  [
    'Responses have their own',
    'openai',
    '/v1/responses',
    '{"model":"m","input":"x"}',
    '{"max_output_tokens":700,"model":"m","input":"x"}',
  ],
  ['an embedding has none', 'openai', '/v1/embeddings', '{"model":"m","input":"x"}', null],
  ['Anthropic', 'anthropic', '/v1/messages', '{"model":"m","max_tokens":4096}', '{"model":"m","max_tokens":700}'],
  ['Gemini, set', 'gemini', generate, '{"contents":[]}', '{"generationConfig":{"maxOutputTokens":700},"contents":[]}'],
  [
    'Gemini, in the other spelling',
    'gemini',
    generate,
    '{"generation_config":{"max_output_tokens":9}}',
    '{"generation_config":{"max_output_tokens":700}}',
  ],
  [
    'Bedrock',
    'bedrock',
    converse,
    '{"inferenceConfig":{"temperature":1}}',
    '{"inferenceConfig":{"maxTokens":700,"temperature":1}}',
  ],
  ['Cohere', 'cohere', '/v2/chat', '{"model":"m","messages":[]}', '{"max_tokens":700,"model":"m","messages":[]}'],
] as const)
  test(`a request is held to what a lease affords, and else unchanged: ${what}`, () => {
    assert.equal(limited(name, path, body), expected)
  })
