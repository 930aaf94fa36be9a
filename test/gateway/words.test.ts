import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWords } from '../../services/gateway/money/words.ts'

const said = (content: unknown, more: object = {}) => ({
  model: 'm',
  messages: [
    { role: 'system', content: 'be brief' },
    { role: 'user', content },
  ],
  max_tokens: 10,
  stream: true,
  stream_options: { include_usage: true },
  ...more,
})

test('words and settings are no more than is written, in any protocol', () => {
  assert.ok(isWords(said('a picture of http tools, in words')))
  assert.ok(isWords(said([{ type: 'text', text: 'x' }])))
  assert.ok(isWords({ contents: [{ role: 'user', parts: [{ text: 'x' }] }], generationConfig: { maxOutputTokens: 9 } }))
  assert.ok(isWords({ messages: [{ role: 'user', content: [{ text: 'x' }] }], inferenceConfig: { maxTokens: 9 } }))
  assert.ok(isWords({ model: 'm', input: 'x', instructions: 'y' }))
})

test('whatever stands for more than is written counts as more, known or not', () => {
  const image = { type: 'image_url', image_url: { url: 'https://x' } }
  for (const more of [
    { tools: [] },
    { previous_response_id: 'r' },
    { prompt: { id: 'p' } },
    { functions: [] },
    { response_format: { type: 'json_schema' } },
    { something_new: 1 },
  ])
    assert.ok(!isWords(said('x', more)), JSON.stringify(more))
  assert.ok(!isWords(said([image])))
  assert.ok(!isWords(said([{ type: 'document', text: 'x' }])))
  assert.ok(!isWords({ contents: [{ parts: [{ fileData: { fileUri: 'gs://x' } }] }] }))
  assert.ok(!isWords(said([{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }])))
  assert.ok(!isWords(null))
  assert.ok(!isWords(said(Array.from({ length: 300 }, () => ({ type: 'text', text: 'x' })))))
})
