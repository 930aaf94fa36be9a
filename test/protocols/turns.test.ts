import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProtocolName } from '../../schemas/work.ts'
import type { Turn } from '../../services/core/conversation/turn.ts'
import { type Hit, matchPinned } from '../../services/gateway/protocols/protocols.ts'
import { answerOf, golden } from './golden.ts'

const hitAt = (protocol: ProtocolName, path: string): Hit => {
  const hit = matchPinned(protocol, 'POST', path)
  assert.ok(hit)
  return hit
}

/** The turns of a request. */
function turnsOf(protocol: ProtocolName, path: string, body: unknown): readonly Turn[] {
  const hit = hitAt(protocol, path)
  const conversation = hit.protocol.conversation(hit.matched)
  return conversation === null ? [] : conversation.turns(body).map(conversation.read)
}

/** What the model said in a golden exchange, as turns. */
function saidIn(name: string): readonly Turn[] {
  const exchange = golden.find(one => one.name === name)
  assert.ok(exchange, name)
  const hit = hitAt(exchange.protocol, exchange.path)
  const ask = hit.protocol.ask(hit.matched, JSON.parse(exchange.request ?? 'null'))
  const head = { status: exchange.status, contentType: exchange.content_type }
  const meter = hit.protocol.meter(hit.matched, ask, head, { hideUsage: false })
  meter.push(answerOf(exchange))
  const conversation = hit.protocol.conversation(hit.matched)
  return meter.end(true).reading.said.map(turn => conversation?.read(turn) ?? assert.fail('no conversation'))
}

const callsOf = (turns: readonly Turn[]) =>
  turns.flatMap(turn => turn.calls.map(({ id, name, args, by }) => [id, name, args, by]))
const resultsOf = (turns: readonly Turn[]) =>
  turns.flatMap(turn => turn.results.map(({ id, content, isError }) => [id, content, isError]))

test('Bedrock’s calls are read from whole answers and from frames, those of the provider with their results', () => {
  assert.deepEqual(callsOf(saidIn('converse, whole, two tools called at once, an ARN not encoded')), [
    ['tooluse_1', 'weather', '{"city":"Lviv"}', 'client'],
    ['tooluse_2', 'weather', '{"city":"Kyiv"}', 'client'],
  ])
  const [streamed] = saidIn('converse-stream, text, a tool at the provider, a tool called')
  assert.ok(streamed?.said)
  assert.equal(streamed.words, 'Žluťoučký')
  assert.deepEqual(callsOf([streamed]), [
    ['tooluse_3', 'code', '{"snippet":"1+1"}', 'provider'],
    ['tooluse_4', 'final', '{"x":2}', 'client'],
  ])
  assert.deepEqual(resultsOf([streamed]), [['tooluse_3', '{"stdOut":"2"}', false]])
  assert.ok(
    streamed.ids.some(id => id.startsWith('sig ')),
    'a signature ties what follows',
  )
})

test('a turn sent back is the turn that was said, wherever the mark of the cache stands', () => {
  const [said] = saidIn('converse, whole, two tools called at once, an ARN not encoded')
  const call = (id: string, city: string) => ({ toolUse: { toolUseId: id, name: 'weather', input: { city } } })
  const history = (mark: boolean) => ({
    messages: [
      { role: 'user', content: [{ text: 'hi' }, ...(mark ? [{ cachePoint: { type: 'default' } }] : [])] },
      {
        role: 'assistant',
        content: [
          { reasoningContent: { reasoningText: { text: 'two', signature: 's'.repeat(40) } } },
          call('tooluse_1', 'Lviv'),
          call('tooluse_2', 'Kyiv'),
        ],
      },
      {
        role: 'user',
        content: [
          { toolResult: { toolUseId: 'tooluse_1', content: [{ text: 'a' }, { json: { b: 1 } }], status: 'success' } },
          { toolResult: { toolUseId: 'tooluse_2', content: [{ text: 'boom' }], status: 'error' } },
        ],
      },
    ],
  })
  const [plain, marked] = [false, true].map(mark => turnsOf('bedrock', '/model/m/converse', history(mark)))
  assert.deepEqual(plain, marked)
  assert.deepEqual([plain?.[1]?.ids, plain?.[1]?.words, plain?.[1]?.calls], [said?.ids, said?.words, said?.calls])
  assert.deepEqual(resultsOf(plain ?? []), [
    ['tooluse_1', 'a\n{"b":1}', false],
    ['tooluse_2', 'boom', true],
  ])
})

test('what is invoked has the conversation of the model’s own body', () => {
  const path = '/model/m/invoke'
  const anthropic = turnsOf('bedrock', path, {
    messages: [
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lviv' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'rain' }] },
    ],
  })
  assert.deepEqual(callsOf(anthropic), [['toolu_1', 'weather', '{"city":"Lviv"}', 'client']])
  assert.deepEqual(resultsOf(anthropic), [['toolu_1', 'rain', false]])
  const made = { name: 'weather', arguments: '{"city":"Lviv"}' }
  const chat = turnsOf('bedrock', path, {
    messages: [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: null, tool_calls: [{ id: 'call_1', type: 'function', function: made }] },
      { role: 'tool', tool_call_id: 'call_1', content: 'rain' },
    ],
  })
  assert.deepEqual([chat.length, chat[1]?.said], [3, true])
  assert.deepEqual(callsOf(chat), [['call_1', 'weather', '{"city":"Lviv"}', 'client']])
  assert.deepEqual(resultsOf(chat), [['call_1', 'rain', false]])
  const nova = turnsOf('bedrock', path, { messages: [{ role: 'assistant', content: [{ text: 'a b' }] }] })
  assert.deepEqual([nova[0]?.said, nova[0]?.words], [true, 'ab'])
  assert.equal(saidIn("invoke, Anthropic's body")[0]?.words, 'Hello')
  assert.equal(saidIn("invoke-with-response-stream, Anthropic's events")[0]?.words, 'Hé')
  assert.equal(saidIn("invoke, chat's body")[0]?.words, 'yo')
  assert.equal(saidIn("invoke-with-response-stream, Nova's events")[0]?.words, 'ok')
})

test('Cohere’s calls are put together from pieces, and thoughts and plans are not words', () => {
  const expected = [['weather_x1y2', 'weather', '{"city":"Lviv"}', 'client']]
  for (const name of ['chat, whole, a tool called', 'chat, streamed, a plan and a tool called'])
    assert.deepEqual([callsOf(saidIn(name)), saidIn(name)[0]?.words], [expected, ''], name)
  assert.equal(saidIn('chat, whole, two counts and a cache')[0]?.words, 'Hello!')
  assert.equal(saidIn('chat, streamed, text and a citation')[0]?.words, 'Žluťoučký')
  const turns = turnsOf('cohere', '/v2/chat', {
    messages: [
      { role: 'system', content: 'be kind' },
      { role: 'user', content: 'hi' },
      { role: 'tool', tool_call_id: 'weather_x1y2', content: [{ type: 'document', document: { data: { a: 1 } } }] },
      { role: 'tool', tool_call_id: 'weather_x1y3', content: [{ type: 'document', document: { data: 'rain' } }] },
      { role: 'tool', tool_call_id: 'weather_x1y4', content: 'snow' },
    ],
  })
  assert.equal(turns.length, 4)
  assert.deepEqual(resultsOf(turns), [
    ['weather_x1y2', '{"a":1}', false],
    ['weather_x1y3', 'rain', false],
    ['weather_x1y4', 'snow', false],
  ])
})
