import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send, startTestGateway } from '../support/gateway.ts'

test('a request that names the answer before instead of sending it back is the next step of its run', async t => {
  const gateway = await startTestGateway(t)
  const headers = { authorization: `Bearer ${gateway.key}` }
  const ask = (path: string, body: object) =>
    send(`${gateway.url}${path}`, { body: JSON.stringify({ model: 'simulator', ...body }), headers })
  const doors = [
    {
      path: '/v1/responses',
      first: { input: 'begin here' },
      next: (id: string) => ({ input: 'and on', previous_response_id: id }),
    },
    {
      path: '/v1/messages',
      first: { max_tokens: 50, messages: [{ role: 'user', content: 'begin there' }] },
      next: (id: string) => ({
        max_tokens: 50,
        messages: [{ role: 'user', content: 'and on' }],
        thread: { type: 'continue', previous_message_id: id },
      }),
    },
  ]
  for (const { path, first, next } of doors) {
    const begun = await ask(path, first)
    const went = await ask(path, next(JSON.parse(begun.text).id))
    assert.equal(went.headers['x-sluice-run-id'], begun.headers['x-sluice-run-id'], path)
    assert.equal(went.headers['x-sluice-step'], '2', path)
    const stranger = await ask(path, next('unknown_1'))
    assert.notEqual(stranger.headers['x-sluice-run-id'], begun.headers['x-sluice-run-id'], path)
  }
})
