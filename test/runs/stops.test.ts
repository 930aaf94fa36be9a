import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sse } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { startUpstream } from '../support/upstream.ts'
import { neverAnswers } from '../support/upstream-replies.ts'
import { codeOf, eventsOf, startFleet } from './fleet.ts'

const chunk = (text: string) =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'made-up-1', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] })}\n\n`
const event = (type: string, data: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`
const begun = (bytes: string) => [
  { write: Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n') },
  { write: Buffer.from(bytes) },
  { finally: 'hang' as const },
]
const prices = { 'made-up*': { input: 1, output: 2 } }

test('a killed run and what it spawned end at once, on every gateway; others go on', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const config = {
    providers: {
      up: { protocol: 'openai', baseUrl: `${up.origin}/v1`, apiKey: 'k', prices },
      claude: { protocol: 'anthropic', baseUrl: up.origin, apiKey: 'k', prices },
    },
    routes: [
      { models: ['made-up-c'], targets: [{ provider: 'claude' }] },
      { models: ['made-up*'], targets: [{ provider: 'up' }] },
    ],
  }
  const fleet = await startFleet(t, { gateways: 2, config })
  const { json } = await fleet.ask('/v1/runs', { key: fleet.key, body: {} })
  const parent = String(json['id'])
  const opened = await fleet.ask('/v1/runs', { key: fleet.key, body: { parentRunId: parent }, at: 1 })
  assert.equal(opened.status, 201, opened.text)
  const child = String(opened.json['id'])

  up.always(({ path, body }) =>
    !body.toString().includes('"stream":true')
      ? neverAnswers()
      : begun(
          path.includes('messages')
            ? event('message_start', {
                message: {
                  id: 'm',
                  type: 'message',
                  role: 'assistant',
                  model: 'made-up-1',
                  content: [],
                  usage: { input_tokens: 9, output_tokens: 1 },
                },
              }) +
                event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
                event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'and so it goes on' } })
            : chunk('once upon') + chunk(' a time'),
        ),
  )
  const stream = { model: 'made-up', stream: true, max_tokens: 50 }
  const flowing = [
    fleet.call(parent, { body: stream }),
    fleet.call(parent, { body: stream, at: 1 }),
    fleet.call(child, { body: stream }),
    fleet.call(child, { body: { ...stream, model: 'made-up-c' }, route: '/v1/messages', at: 1 }),
  ]
  const whole = fleet.call(parent, { body: { model: 'made-up' } })
  const bystander = fleet.call('bystander', { body: stream, leaveWhen: text => text.includes('DONE') })
  await up.request(6)
  const killedAt = performance.now()
  const killed = await fleet.ask(`/v1/runs/${parent}/kill`, { body: { reason: 'too dear' }, at: 1 })
  assert.deepEqual([killed.status, killed.json['state']], [200, 'killed'], killed.text)

  const ended = await Promise.all(flowing)
  t.diagnostic(`ended ${Math.round(performance.now() - killedAt)} ms after the kill was asked for`)
  for (const [i, answer] of ended.entries()) {
    assert.equal(answer.status, 200)
    const last = sse(answer.text).at(-1) as { readonly error: Record<string, unknown> }
    assert.partialDeepStrictEqual(
      last.error,
      { code: 'run_killed', scope: `run:${parent}`, actor: 'admin', reason: 'too dear' },
      `stream ${i}`,
    )
  }
  const refused = await whole
  assert.deepEqual([refused.status, codeOf(refused.text)], [403, 'run_killed'])
  for (const [nth, seen] of up.arrived.entries())
    if (nth < 5 || up.arrived.length > 6)
      assert.equal(await Promise.race([seen.ending, 'open']), seen === up.arrived.at(-1) ? 'open' : 'left', `${nth}`)

  const before = up.arrived.length
  for (const [run, at] of [
    [parent, 0],
    [parent, 1],
    [child, 0],
    [child, 1],
  ] as const) {
    const no = await fleet.call(run, { at, body: { model: 'made-up' } })
    assert.deepEqual([no.status, codeOf(no.text), no.headers['x-should-retry']], [403, 'run_killed', 'false'])
  }
  assert.equal(up.arrived.length, before)
  await fleet.ask(`/v1/runs/${child}/resume`, { body: {} })
  assert.equal((await fleet.call(child)).status, 403, 'a child was raised from a killed parent')

  const facts = await eventsOf(fleet.log)
  const booked = facts.filter(fact => fact.type === 'llm.completed' && fact.outcome === 'killed')
  assert.equal(booked.length, 5)
  for (const fact of booked)
    if (fact.type === 'llm.completed') assert.ok((fact.cost_nano_usd ?? 0) > 0, JSON.stringify(fact))
  assert.partialDeepStrictEqual(
    facts.find(fact => fact.type === 'run.killed' && fact.actor === 'admin'),
    { run_id: parent, actor: 'admin', reason: 'too dear' },
  )
  const observed = await until('both gateways to tell', async () => {
    const told = (await eventsOf(fleet.log)).filter(fact => fact.type === 'kill.observed')
    return told.length >= 2 ? told : null
  })
  assert.equal(new Set(observed?.map(({ source }) => source)).size, 2)

  await fleet.restart()
  for (const at of [0, 1]) {
    assert.equal(codeOf((await fleet.call(parent, { at })).text), 'run_killed')
    assert.equal(codeOf((await fleet.call(child, { at })).text), 'run_killed')
  }
  assert.equal((await fleet.ask(`/v1/runs/${parent}/resume`, { body: {} })).status, 200)
  assert.equal((await fleet.call(child, { at: 1 })).status, 200)
  await bystander.catch(() => {})
})

test('a pause lets calls in flight finish, refuses new ones, and holds through a restart until it is resumed', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const config = { providers: { up: { protocol: 'openai', baseUrl: `${up.origin}/v1`, apiKey: 'k', prices } } }
  const fleet = await startFleet(t, { config })
  const { promise: later, resolve: finish } = Promise.withResolvers<void>()
  up.next([
    { write: Buffer.from('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n') },
    { write: Buffer.from(chunk('one')) },
    { until: later },
    { write: Buffer.from(`${chunk('two')}data: [DONE]\n\n`) },
    { finally: 'close' },
  ])
  const flowing = fleet.call('r', { body: { model: 'made-up', stream: true } })
  await up.request(1)
  const paused = await fleet.ask('/v1/runs/r/pause', { key: fleet.key, body: { reason: 'lunch' } })
  assert.deepEqual([paused.status, paused.json['state']], [200, 'paused'])
  const no = await fleet.call('r')
  assert.deepEqual([no.status, codeOf(no.text)], [423, 'run_paused'])
  assert.match(no.text, /lunch/)
  assert.match(no.text, /\/v1\/runs\/r\/resume/)
  assert.equal((await fleet.call('below', { headers: { 'x-sluice-parent-run-id': 'r' } })).status, 423)
  finish()
  assert.match((await flowing).text, /two.*DONE/s)
  await fleet.restart()
  assert.equal((await fleet.call('r')).status, 423)
  assert.equal((await fleet.ask('/v1/runs/r/resume', { key: fleet.key, body: {} })).status, 200)
  assert.equal((await fleet.call('r')).status, 200)
  assert.equal((await fleet.call('below')).status, 200)
})

test('what an agent may not lift: an admin’s word, and its own limits', async t => {
  const fleet = await startFleet(t)
  const act = (what: string, key?: string, body: object = {}) =>
    fleet.ask(`/v1/runs/r/${what}`, { body, ...(key === undefined ? {} : { key }) })
  await fleet.call('r')
  await act('pause')
  assert.equal((await act('resume', fleet.key)).status, 403)
  await act('resume')
  await act('kill')
  assert.equal((await act('resume', fleet.key)).status, 403)
  assert.equal((await act('pause')).status, 403)
  assert.equal((await act('resume')).status, 200)
  assert.equal((await act('resume', fleet.key, { budgets: [{ limitUsd: 5 }] })).status, 403)
  const raised = await act('resume', undefined, { budgets: [{ limitUsd: 5 }], maxSteps: 7 })
  assert.partialDeepStrictEqual(raised.json, { state: 'running', budgets: [{ limitUsd: 5 }], maxSteps: 7 })
  await act('kill', fleet.key)
  assert.equal((await act('resume', fleet.key)).status, 200)
  assert.equal((await act('finish', fleet.key)).json['state'], 'finished')
  assert.equal((await fleet.call('r')).status, 200, 'who goes on after all goes on')
  assert.equal((await act('dance')).status, 404)
  const facts = await eventsOf(fleet.log)
  const changes = facts.flatMap(fact => (fact.type === 'run.resumed' ? [fact] : []))
  assert.deepEqual(
    changes.map(({ actor }) => actor),
    ['admin', 'admin', 'admin', 'agent:tester'],
  )
  assert.equal(changes[2]?.limit_nano_usd, 5_000_000_000)
})

test('without an enforcer a kill is recorded, obeyed where it was asked for and told to others, through a restart', async t => {
  const fleet = await startFleet(t, { gateways: 2, enforcer: false })
  await fleet.call('r')
  const killed = await fleet.ask('/v1/runs/r/kill', { body: {} })
  assert.deepEqual([killed.status, killed.json['state']], [202, 'killed'])
  for (const at of [0, 1]) assert.equal(codeOf((await fleet.call('r', { at })).text), 'run_killed')
  await fleet.restart()
  for (const at of [0, 1]) assert.equal(codeOf((await fleet.call('r', { at })).text), 'run_killed')
})

test('a gateway that starts knows the way up and the limits of runs that others opened', async t => {
  const fleet = await startFleet(t, { gateways: 2 })
  const top = await fleet.ask('/v1/runs', { key: fleet.key, body: { budgets: [{ limitUsd: 1 }], maxSteps: 2 } })
  const body = { parentRunId: top.json['id'], budgets: [{ limitUsd: 0.5 }] }
  const child = await fleet.ask('/v1/runs', { key: fleet.key, body, at: 1 })
  await fleet.call(String(child.json['id']), { at: 0 })
  await fleet.restart()
  for (const at of [0, 1]) {
    const told = await fleet.ask(`/v1/runs/${child.json['id']}`, { at })
    assert.partialDeepStrictEqual(told.json, {
      parentRunId: top.json['id'],
      rootRunId: top.json['id'],
      budgets: [{ limitUsd: 0.5 }],
      steps: 1,
    })
    const above = await fleet.ask(`/v1/runs/${top.json['id']}`, { at })
    assert.partialDeepStrictEqual(above.json, { budgets: [{ limitUsd: 1 }], maxSteps: 2, children: 1 })
  }
})
