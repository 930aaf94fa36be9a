import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send, startTestGateway } from '../support/gateway.ts'

const task = 'Summarise the quarterly numbers of the "north" region in three lines.'
const tool = {
  type: 'function',
  function: { name: 'delegate', parameters: { type: 'object', properties: { task: { type: 'string' } } } },
}

test('a run that begins with the words of an open tool call is linked to it, as a guess', async t => {
  const gateway = await startTestGateway(t)
  const headers = { authorization: `Bearer ${gateway.key}` }
  const say = (messages: unknown[], more: object = {}) =>
    send(`${gateway.url}/v1/chat/completions`, {
      body: JSON.stringify({ model: 'simulator', messages, ...more }),
      headers,
    })
  const marker = `[[tool=delegate args=${JSON.stringify({ task })}]]`
  const parent = await say([{ role: 'user', content: `Please ${marker}` }], { tools: [tool] })
  const asked = JSON.parse(parent.text).choices[0].message
  assert.equal(JSON.parse(asked.tool_calls[0].function.arguments).task, task)
  const child = await say([
    { role: 'system', content: 'You summarise.' },
    { role: 'user', content: task },
  ])
  const stranger = await say([
    { role: 'user', content: 'Summarise the quarterly numbers of another region altogether.' },
  ])
  const events = await gateway.facts(all => all.filter(event => event.type === 'llm.completed').length === 3)
  const started = events.filter(event => event.type === 'run.started')
  const of = (answer: typeof child) => started.find(event => event.run_id === answer.headers['x-sluice-run-id'])
  assert.partialDeepStrictEqual(of(child), {
    parent_run_id: parent.headers['x-sluice-run-id'],
    depth: 1,
    run_source: 'inferred',
  })
  assert.equal(of(stranger)?.parent_run_id, undefined)
})

test('a run that names its parent is below it, and knows the whole way up', async t => {
  const gateway = await startTestGateway(t)
  const call = (run: string, parent?: string) =>
    send(`${gateway.url}/v1/chat/completions`, {
      body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: run }] }),
      headers: {
        authorization: `Bearer ${gateway.key}`,
        'x-sluice-run-id': run,
        ...(parent === undefined ? {} : { 'x-sluice-parent-run-id': parent }),
      },
    })
  await call('top')
  await call('middle', 'top')
  await call('leaf', 'middle')
  const events = await gateway.facts(all => all.filter(event => event.type === 'llm.completed').length === 3)
  const leaf = events.find(event => event.type === 'run.started' && event.run_id === 'leaf')
  assert.partialDeepStrictEqual(leaf, {
    root_run_id: 'top',
    parent_run_id: 'middle',
    ancestors: ['top', 'middle'],
    depth: 2,
  })
})
