import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import { at } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { codeOf, factsOf, startFleet } from './fleet.ts'

/** Every way to name a run as one's own or as the one above. */
const namesOf = (run: string): readonly Record<string, string>[] => [
  { 'x-sluice-parent-run-id': run },
  { 'x-sluice-run-id': 'below', 'x-sluice-parent-run-id': run },
  { baggage: `sluice.parent.run.id=${run}` },
  { 'x-sluice-run-id': run },
  { baggage: `sluice.run.id=${run}` },
]

/** What the stranger's calls were held against. */
const nodesIn = (events: readonly Event[]) =>
  events.flatMap(event => (event.type === 'admission.granted' ? [event.data?.nodes ?? []] : []))

test('no agent spends from the run of another without its leave, however it names it, at no gateway', async t => {
  const fleet = await startFleet(t, { gateways: 2 })
  const opened = await fleet.ask('/v1/runs', { key: fleet.key, body: { budgets: [{ limitUsd: 1 }] } })
  const run = String(opened.json['id'])
  const stranger = fleet.otherKey
  for (const headers of namesOf(run))
    for (const gateway of [0, 1]) {
      const answer = await fleet.call(null, { key: stranger, headers, at: gateway })
      assert.deepEqual(
        [answer.status, codeOf(answer.text), answer.headers['x-should-retry']],
        [403, 'delegation_not_allowed', 'false'],
        JSON.stringify(headers),
      )
    }
  const body = { model: 'simulator', max_tokens: 5, messages: [{ role: 'user', content: 'hi' }] }
  const anthropic = { key: stranger, route: '/v1/messages', headers: { 'x-sluice-run-id': run }, body }
  assert.equal(at(JSON.parse((await fleet.call(null, anthropic)).text), 'error', 'code'), 'delegation_not_allowed')
  const below = await fleet.ask('/v1/runs', { key: stranger, body: { parentRunId: run } })
  assert.deepEqual([below.status, codeOf(below.text)], [403, 'delegation_not_allowed'])
  const report = [{ id: 'a', type: 'tool.called', tool: 'search', run_id: run }]
  const told = await fleet.ask('/v1/events', { key: stranger, body: report })
  assert.equal(at(told.json, 'results', 0, 'reason'), 'delegation_not_allowed')

  // What was refused is on the log, and in nobody's run; the name that it gave itself is free.
  const facts = await factsOf(fleet.log, 11, event => event.agent === 'other')
  assert.equal(facts.length, 11)
  for (const fact of facts)
    assert.partialDeepStrictEqual(fact, { type: 'admission.refused', reason: 'delegation_not_allowed' })
  assert.deepEqual(
    facts.filter(fact => fact.run_id !== fact.request_id || fact.root_run_id !== fact.request_id),
    [],
  )
  assert.equal((await fleet.call('below', { key: stranger })).status, 200)
  assert.equal((await fleet.call(run)).status, 200)
  assert.deepEqual(nodesIn(await factsOf(fleet.log, 13, event => event.agent === 'other')).flat(), [])
})

test('an agent works in and below the runs of one that may delegate to it, and whoever delegated in what it spawned', async t => {
  const fleet = await startFleet(t, { mayDelegateTo: ['other'] })
  const opened = await fleet.ask('/v1/runs', { key: fleet.key, body: { budgets: [{ limitUsd: 1 }] } })
  const run = String(opened.json['id'])
  for (const headers of namesOf(run)) {
    const answer = await fleet.call(null, { key: fleet.otherKey, headers })
    assert.equal(answer.status, 200, answer.text)
  }
  const admitted = await factsOf(fleet.log, 5, event => event.type === 'admission.granted' && event.agent === 'other')
  assert.deepEqual(nodesIn(admitted), Array(5).fill([`run:${run}/life`]))
  assert.equal((await fleet.call('below')).status, 200)

  // The other way round it is nobody's to give.
  assert.equal((await fleet.call('its-own', { key: fleet.otherKey })).status, 200)
  assert.equal((await fleet.call('its-own')).status, 403)
})

test('who names a parent before it is there is below it only with its leave', async t => {
  const fleet = await startFleet(t)
  const early = () => fleet.call('early', { key: fleet.otherKey, headers: { 'x-sluice-parent-run-id': 'later' } })
  assert.equal((await early()).status, 200)
  assert.equal((await fleet.call('later')).status, 200)
  assert.equal(codeOf((await early()).text), 'delegation_not_allowed')
  assert.equal((await fleet.call('later')).status, 200)
})

test('a run that two agents began in the same moment is owned by the first of them, at every gateway', async t => {
  const fleet = await startFleet(t, { gateways: 2 })
  const slow = { messages: [{ role: 'user', content: '[[delay=300]]' }] }
  const [first, second] = await Promise.all([
    fleet.call('both', { at: 0, body: slow }),
    fleet.call('both', { at: 1, key: fleet.otherKey, body: slow }),
  ])
  assert.deepEqual([first.status, second.status].toSorted()[0], 200)
  const started = (await factsOf(fleet.log, 2, event => event.type === 'run.started')).filter(
    it => it.type === 'run.started',
  )
  const order = ({ data, agent }: (typeof started)[number]) => `${data?.started_at} ${agent}`
  const owner = started.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))[0]?.agent
  const [mine, theirs] = owner === 'tester' ? [fleet.key, fleet.otherKey] : [fleet.otherKey, fleet.key]
  for (const gateway of [0, 1]) {
    assert.equal((await fleet.call('both', { at: gateway, key: mine })).status, 200)
    await until('the stranger to be refused', async () => {
      const answer = await fleet.call('both', { at: gateway, key: theirs })
      return codeOf(answer.text) === 'delegation_not_allowed'
    })
  }
})

test('agents that share a trace or a session have runs of their own in it', async t => {
  const fleet = await startFleet(t)
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  for (const headers of [{ traceparent: `00-${trace}-00f067aa0ba902b7-01` }, { 'x-litellm-session-id': 'one' }]) {
    const first = await fleet.call(null, { headers })
    const second = await fleet.call(null, { headers, key: fleet.otherKey })
    assert.deepEqual([first.status, second.status], [200, 200])
    assert.notEqual(first.headers['x-sluice-run-id'], second.headers['x-sluice-run-id'])
    assert.equal((await fleet.call(null, { headers })).headers['x-sluice-run-id'], first.headers['x-sluice-run-id'])
  }
  const traced = await factsOf(fleet.log, 3, event => event.type === 'llm.completed' && event.trace_id === trace)
  assert.deepEqual(traced.map(event => event.agent).toSorted(), ['other', 'tester', 'tester'])
})
