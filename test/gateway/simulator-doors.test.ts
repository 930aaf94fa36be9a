import assert from 'node:assert/strict'
import { test } from 'node:test'
import { protocols } from '../../services/gateway/protocols/protocols.ts'
import { callsOf } from '../sdk/facts.ts'
import { send, startTestGateway } from '../support/gateway.ts'

/** Enough for every route of a protocol; what a route does not know it passes over. */
const model = 'simulator'
const said = [{ role: 'user', content: 'hello' }]
const blocks = [{ role: 'user', content: [{ text: 'hello' }] }]
const content = { role: 'user', parts: [{ text: 'hello' }] }
const bodies: Readonly<Record<string, object>> = {
  openai: { model, messages: said, input: 'hello', prompt: 'hello' },
  anthropic: { model, messages: said, max_tokens: 50 },
  gemini: { contents: [content], content, requests: [{ model: `models/${model}`, content }] },
  bedrock: { messages: blocks, input: { converse: { messages: blocks } } },
  cohere: { model, messages: said, texts: ['hello'], input_type: 'x', query: 'hello', documents: ['a'], text: 'hello' },
}

const writing = new Set(['chat', 'generate_content', 'text_completion'])

test('the simulator answers at every route of every protocol, pinned and by its name', async t => {
  const gateway = await startTestGateway(t)
  const authorization = `Bearer ${gateway.key}`
  const queued = await send(`${gateway.url}/v1/responses`, {
    headers: { authorization },
    body: JSON.stringify({ model, input: 'hello', background: true }),
  })
  const id: string = JSON.parse(queued.text).id
  const asked: string[] = []
  for (const { name, routes } of protocols)
    for (const route of routes) {
      const path = route.path.replace(/\{[^}]*\}/, route.path.startsWith('/v1/responses/') ? id : model)
      const headers = { authorization, ...(name === 'anthropic' ? { 'anthropic-version': '2023-06-01' } : {}) }
      const bodiless = route.method === 'GET' || route.bodiless === true
      const request = { method: route.method, headers, ...(bodiless ? {} : { body: JSON.stringify(bodies[name]) }) }
      // Who names neither a provider nor a model it knows is not led to the simulator.
      const byName = !bodiless && !route.path.includes('{tuned}')
      const answers = new Set<string>()
      for (const start of byName ? ['', '/simulator'] : ['/simulator']) {
        const answer = await send(gateway.url + start + path, request)
        assert.equal(answer.status, 200, `${route.method} ${start}${path}: ${answer.text.slice(0, 300)}`)
        assert.ok(answer.complete && answer.body.length > 0, path)
        assert.equal(answer.headers['x-sluice-provider'], 'simulator', path)
        answers.add(answer.body.toString('latin1'))
        asked.push(route.operation)
      }
      assert.equal(answers.size, 1, `${path}: the same question has the same answer`)
    }
  // A background answer is booked once, whoever asks for it afterwards.
  const calls = 1 + asked.filter(operation => operation !== 'retrieve').length
  for (const row of callsOf(await gateway.facts(events => callsOf(events).length >= calls))) {
    const call = `${row.protocol} ${row.operation}`
    assert.equal(row.outcome, 'success', call)
    if (!writing.has(row.operation)) continue
    assert.equal(row.usage_source, 'provider', call)
    assert.equal(row.cost_nano_usd, (row.input_tokens ?? 0) * 500 + (row.output_tokens ?? 0) * 1_500, call)
    assert.ok((row.output_tokens ?? 0) > 0, call)
  }
})
