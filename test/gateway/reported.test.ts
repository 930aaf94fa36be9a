import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Event } from '../../schemas/events.ts'
import { send, startTestGateway } from '../support/gateway.ts'

const tools = (events: readonly Event[]) =>
  events.filter(event => event.type === 'tool.returned' || event.type === 'tool.called')

test('reported calls are taken one by one, refused one by one, and never twice', async t => {
  const gateway = await startTestGateway(t)
  const headers = { authorization: `Bearer ${gateway.key}`, 'x-sluice-run-id': 'run-of-mine' }
  const items = [
    { id: 'a', type: 'tool.called', tool: 'search', tool_call_id: 'call-1', args: { q: 'x', n: 1 } },
    { id: 'b', type: 'tool.returned', tool: 'search', tool_call_id: 'call-1', result: [], latency_ms: 12 },
    { id: 'c', type: 'tool.returned' },
    { id: 'd', type: 'agent.returned', peer_agent: 'summarizer', result: 'done', run_id: 'another' },
  ]
  const first = await send(`${gateway.url}/v1/events`, { body: JSON.stringify(items), headers })
  assert.equal(first.status, 207)
  const told = JSON.parse(first.text)
  assert.deepEqual([told.taken, told.refused, told.duplicates], [3, 1, 0])
  assert.match(told.results[2].reason, /tool/)
  const again = gzipSync(items.map(item => JSON.stringify(item)).join('\n'))
  const second = JSON.parse(
    (await send(`${gateway.url}/v1/events`, { body: again, headers: { ...headers, 'content-encoding': 'gzip' } })).text,
  )
  assert.deepEqual([second.taken, second.refused, second.duplicates], [0, 1, 3])

  const events = await gateway.facts(all => all.some(event => event.type === 'agent.returned'))
  const [called, returned] = tools(events)
  assert.equal(tools(events).length, 2)
  assert.partialDeepStrictEqual(called, {
    run_id: 'run-of-mine',
    tool: 'search',
    observed: 'reported',
    args: '{"n":1,"q":"x"}',
  })
  assert.partialDeepStrictEqual(returned, {
    run_id: 'run-of-mine',
    outcome: 'success',
    result_empty: true,
    latency_ms: 12,
  })
  assert.ok(
    returned?.type === 'tool.returned' && called?.type === 'tool.called' && returned.args_hash === called.args_hash,
  )
})

test('a call that the model asked for and the agent reports is one call', async t => {
  const gateway = await startTestGateway(t)
  const headers = { authorization: `Bearer ${gateway.key}` }
  const tool = {
    type: 'function',
    function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  }
  const question = {
    model: 'simulator',
    tools: [tool],
    messages: [{ role: 'user', content: '[[tool=get_weather args={"city":"Oslo"}]] please' }],
  }
  const answer = await send(`${gateway.url}/v1/chat/completions`, { body: JSON.stringify(question), headers })
  const { message } = JSON.parse(answer.text).choices[0]
  const { id } = message.tool_calls[0]
  const report = { id: 'r1', type: 'tool.returned', tool: 'get_weather', tool_call_id: id, result: 'rain' }
  const told = JSON.parse((await send(`${gateway.url}/v1/events`, { body: JSON.stringify(report), headers })).text)
  assert.equal(told.results[0].run_id, answer.headers['x-sluice-run-id'])
  const next = {
    ...question,
    messages: [...question.messages, message, { role: 'tool', tool_call_id: id, content: 'rain' }],
  }
  const last = await send(`${gateway.url}/v1/chat/completions`, { body: JSON.stringify(next), headers })
  assert.equal(last.headers['x-sluice-run-id'], answer.headers['x-sluice-run-id'])
  assert.equal(last.headers['x-sluice-step'], '2')
  const seen = tools(await gateway.facts(events => events.filter(event => event.type === 'llm.completed').length === 2))
  assert.deepEqual(
    seen.map(event => [event.type, event.observed]),
    [
      ['tool.called', 'conversation'],
      ['tool.returned', 'reported'],
    ],
  )
  assert.partialDeepStrictEqual(seen[1], { args: '{"city":"Oslo"}', result: 'rain', step: 1 })
})
