import assert from 'node:assert/strict'
import { test } from 'node:test'
import { send } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { startUpstream } from '../support/upstream.ts'
import { codeOf, factsOf, startFleet } from './fleet.ts'

test('a run is opened with its terms, told of, and belongs to whoever opened it', async t => {
  const fleet = await startFleet(t)
  const body = { task: 'dig', budgets: [{ limitUsd: 0.5 }], maxSteps: 3, labels: { team: 'blue' } }
  const made = await fleet.ask('/v1/runs', { key: fleet.key, body })
  assert.equal(made.status, 201)
  assert.partialDeepStrictEqual(made.json, {
    state: 'running',
    agent: 'tester',
    task: 'dig',
    parentRunId: null,
    rootRunId: made.json['id'],
    budgets: [{ limitUsd: 0.5 }],
    maxSteps: 3,
    labels: { team: 'blue' },
  })
  const id = String(made.json['id'])
  assert.equal((await fleet.call(id)).headers['x-sluice-step'], '1')
  const told = await fleet.ask(`/v1/runs/${id}`, { key: fleet.key })
  assert.partialDeepStrictEqual(told.json, { id, steps: 1, state: 'running' })
  for (const route of [`/v1/runs/${id}`, '/v1/runs/unheard-of']) {
    const foreign = await fleet.ask(route, { key: fleet.otherKey })
    assert.deepEqual([foreign.status, codeOf(foreign.text)], [404, 'not_found'])
  }
  assert.equal((await fleet.ask(`/v1/runs/${id}/kill`, { key: fleet.otherKey, body: {} })).status, 404)
  assert.equal((await fleet.ask(`/v1/runs/${id}`)).status, 200)
  assert.equal((await send(`${fleet.urls[0]}/v1/runs/${id}`)).status, 401)
})

test('a run may only narrow what is above it, and what nobody knows is refused', async t => {
  const fleet = await startFleet(t)
  const open = (body: object) => fleet.ask('/v1/runs', { key: fleet.key, body })
  const { json } = await open({ budgets: [{ limitUsd: 1 }], maxSteps: 10 })
  const parentRunId = json['id']
  const child = await open({ parentRunId, budgets: [{ limitUsd: 0.4 }], maxSteps: 5 })
  assert.partialDeepStrictEqual(child.json, { parentRunId, rootRunId: parentRunId, depth: 1 })
  const wrong = [
    { parentRunId, budgets: [{ limitUsd: 2 }] },
    { parentRunId, budgets: [{ limitUsd: 2, window: '1d' }] },
    { parentRunId, maxSteps: 11 },
    { parentRunId: child.json['id'], maxSteps: 6 },
    { parentRunId: 'unheard-of' },
    { budget: 1 },
    { maxSteps: 0 },
  ]
  for (const body of wrong) {
    const { status, text } = await open(body)
    assert.deepEqual([status, codeOf(text)], [400, 'invalid_request'], JSON.stringify(body))
  }
  const delegated = await open({ agent: 'other' })
  assert.deepEqual([delegated.status, codeOf(delegated.text)], [403, 'delegation_not_allowed'])
  assert.equal((await fleet.ask('/v1/runs', { body: { agent: 'other' } })).json['agent'], 'other')
})

test('steps, depth, children and time of a run have ends, each with a code of its own', async t => {
  const defaults = { maxSteps: 2, maxDepth: 1, maxChildren: 2 }
  const fleet = await startFleet(t, { config: { runs: { defaults } } })
  const below = (run: string, parent: string) => fleet.call(run, { headers: { 'x-sluice-parent-run-id': parent } })
  const code = async (answer: ReturnType<typeof below>) => {
    const { status, text, headers } = await answer
    if (status !== 200) assert.equal(headers['x-should-retry'], 'false')
    return status === 200 ? 'ok' : `${status} ${codeOf(text)}`
  }
  const both = await Promise.all([fleet.call('top'), fleet.call('top'), fleet.call('top')].map(code))
  assert.deepEqual(both.toSorted(), ['403 max_steps_exceeded', 'ok', 'ok'])
  assert.equal(await code(below('child-1', 'top')), 'ok')
  assert.equal(await code(below('grandchild', 'child-1')), '403 max_depth_exceeded')
  assert.equal(await code(below('grandchild', 'child-1')), '403 max_depth_exceeded', 'asking again opens no door')
  assert.equal(await code(below('child-2', 'top')), 'ok')
  assert.equal(await code(below('child-3', 'top')), '403 max_children_exceeded')
  assert.equal(await code(below('child-1', 'top')), 'ok', 'one that is there goes on')

  const { json } = await fleet.ask('/v1/runs', { key: fleet.key, body: { maxDurationMs: 1 } })
  assert.equal(await code(fleet.call(String(json['id']))), '403 run_expired')
  assert.equal((await fleet.ask(`/v1/runs/${json['id']}`)).json['state'], 'expired')
  const facts = await fleet.ask(`/v1/runs/${json['id']}`)
  assert.equal(facts.json['maxDurationMs'], 1)
})

test('a stream ends when the time of its run is up', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const prices = { 'made-up*': { input: 1, output: 2 } }
  const config = { providers: { up: { protocol: 'openai', baseUrl: `${up.origin}/v1`, apiKey: 'k', prices } } }
  const fleet = await startFleet(t, { config })
  const chunk = {
    id: 'c',
    object: 'chat.completion.chunk',
    model: 'made-up-1',
    choices: [{ index: 0, delta: { content: 'hm' } }],
  }
  up.always([
    { write: Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n') },
    { write: Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`) },
    { finally: 'hang' },
  ])
  const { json } = await fleet.ask('/v1/runs', { key: fleet.key, body: { maxDurationMs: 1_500 } })
  const answer = await fleet.call(String(json['id']), { body: { model: 'made-up', stream: true } })
  assert.equal(answer.status, 200)
  assert.equal(codeOf(answer.text), 'run_expired')
  assert.equal(codeOf((await fleet.call(String(json['id']))).text), 'run_expired')
})

test('a budget that is raised with a resume holds at once', async t => {
  const fleet = await startFleet(t)
  const { json } = await fleet.ask('/v1/runs', { key: fleet.key, body: { budgets: [{ limitUsd: 0.000_001 }] } })
  const id = String(json['id'])
  const broke = await fleet.call(id)
  assert.deepEqual([broke.status, codeOf(broke.text)], [402, 'budget_exceeded'])
  const raised = await fleet.ask(`/v1/runs/${id}/resume`, { body: { budgets: [{ limitUsd: 1 }] } })
  assert.equal(raised.status, 200)
  const paid = await until('the raised budget', async () => {
    const answer = await fleet.call(id)
    return answer.status === 200 ? answer : null
  })
  assert.equal(paid?.status, 200)
})

test('an admin stops an agent, and only an admin', async t => {
  const fleet = await startFleet(t)
  const act = (what: string, key?: string) =>
    fleet.ask(`/admin/scopes/agent:tester/${what}`, { body: {}, ...(key === undefined ? {} : { key }) })
  assert.equal((await act('pause', fleet.key)).status, 401)
  assert.equal((await act('pause')).status, 200)
  assert.deepEqual(
    [(await fleet.call('r')).status, (await fleet.call('s', { key: fleet.otherKey })).status],
    [423, 200],
  )
  await act('kill')
  assert.equal((await fleet.call('r')).status, 403)
  await act('resume')
  assert.equal((await fleet.call('r')).status, 200)
  assert.equal((await fleet.ask('/admin/scopes/everything/pause', { body: {} })).status, 400)
})

test('an admin stops a run that only another gateway can know', async t => {
  const fleet = await startFleet(t)
  const elsewhere = 'run-abcdef12-7-3-4'
  assert.equal((await fleet.ask(`/v1/runs/${elsewhere}/kill`, { key: fleet.key, body: {} })).status, 404)
  assert.equal((await fleet.ask('/v1/runs/mistyped/kill', { body: {} })).status, 404)
  const killed = await fleet.ask(`/v1/runs/${elsewhere}/kill`, { body: {} })
  assert.equal(killed.status, 200)
  assert.partialDeepStrictEqual(killed.json, { scope: `run:${elsewhere}`, stop: { type: 'kill', actor: 'admin' } })
  assert.equal(codeOf((await fleet.call(elsewhere)).text), 'run_killed')
})

test('a parent that was only guessed is not charged', async t => {
  const fleet = await startFleet(t)
  const { json } = await fleet.ask('/v1/runs', { key: fleet.key, body: { budgets: [{ limitUsd: 1 }] } })
  const task = 'Summarise the quarterly numbers of the "north" region in three lines.'
  const tool = { type: 'function', function: { name: 'delegate', parameters: { type: 'object' } } }
  const content = `Please [[tool=delegate args=${JSON.stringify({ task })}]]`
  const body = { model: 'simulator', max_tokens: 50, messages: [{ role: 'user', content }], tools: [tool] }
  const asked = await fleet.call(String(json['id']), { body })
  assert.equal(asked.status, 200, asked.text)
  const child = { model: 'simulator', max_tokens: 50, messages: [{ role: 'user', content: task }] }
  const answer = await fleet.call(null, { body: child })
  assert.equal(answer.status, 200, answer.text)
  const events = await factsOf(fleet.log, 4, ({ type }) => type === 'run.started' || type === 'admission.granted')
  const started = events.find(event => event.run_id === answer.headers['x-sluice-run-id'])
  assert.equal(started?.run_source, 'inferred')
  assert.equal(started?.parent_run_id, json['id'])
  assert.deepEqual(
    events.flatMap(event => (event.type === 'admission.granted' ? [event.data?.nodes ?? []] : [])),
    [[`run:${json['id']}/life`], []],
  )
})
