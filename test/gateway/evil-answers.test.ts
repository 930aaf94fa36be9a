import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import type { LlmCompleted } from '../../schemas/llm.ts'
import { allDoors, type DoorSample, doors } from '../support/doors.ts'
import { type Evil, type Expected, evils } from '../support/evils.ts'
import { type Answer, send, sse, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answerHonestly, doorAt } from '../support/upstream-lies.ts'

/** Long enough for an honest answer on a busy machine, short enough to wait for many times. */
const timeoutMs = 500

test('whatever an upstream does, a client hears it in its own protocol, and one row says how it went', async t => {
  const [up, elsewhere] = [await startUpstream(), await startUpstream()]
  t.after(up.close)
  t.after(elsewhere.close)
  const logged: string[] = []
  const gateway = await startTestGateway(t, { logged, config: allDoors(up.origin, { timeoutMs }) })
  const told: { readonly where: string; readonly id: string; readonly expected: Expected }[] = []

  up.always(request => {
    const stream = /"stream":true|streamGenerate/.test(request.path + request.body)
    const evil = evils[Number(request.header('x-evil'))]!
    return evil.reply(doorAt(request.path, stream), stream, elsewhere.origin)
  })
  const suffer = (evil: Evil): Promise<unknown> =>
    Promise.all(
      doors.flatMap(door =>
        [false, true].map(async stream => {
          const where = `${evil.what}, ${door.name}${stream ? ' stream' : ''}`
          const given = stream ? evil.stream : evil.whole
          const expected = typeof given === 'function' ? given(door) : given
          const answer = await call(gateway, door, stream, where, evils.indexOf(evil))
          check(where, door, answer, expected)
          told.push({ where, id: String(answer.headers['x-sluice-request-id']), expected })
        }),
      ),
    )
  // Those that are waited for, together; the others in turn, for a busy machine makes honest ones late.
  const slow = evils.filter(evil =>
    [evil.whole, evil.stream].some(one => 'reason' in one && one.reason === 'upstream_timeout'),
  )
  await Promise.all(slow.map(suffer))
  for (const evil of evils) if (!slow.includes(evil)) await suffer(evil)
  assert.equal(elsewhere.arrived.length, 0, 'a redirect was followed')
  answerHonestly(up)
  assert.equal((await call(gateway, doors[0]!, false, 'afterwards', 0)).status, 200)

  const rows = completed(await gateway.facts(events => completed(events).length > told.length))
  assert.equal(rows.length, told.length + 1)
  for (const { where, id, expected } of told) {
    const own = rows.filter(row => row.request_id === id)
    assert.equal(own.length, 1, `${where}: ${own.length} rows`)
    checkRow(where, own[0]!, expected)
  }
  const everything = logged.join('') + JSON.stringify(rows)
  assert.ok(!everything.includes(gateway.key) && !everything.includes('sk-provider'), 'a key was told')
  assert.deepEqual(logged, [], 'the gateway had something to log')
})

const completed = (events: readonly Event[]) =>
  events.filter((event): event is Event & LlmCompleted => event.type === 'llm.completed')

const call = (gateway: TestGateway, door: DoorSample, stream: boolean, where: string, evil: number): Promise<Answer> =>
  send(gateway.url + door.path(stream), {
    body: door.body(stream),
    headers: { 'x-api-key': gateway.key, 'x-evil': String(evil) },
    timeoutMs: 10_000,
  }).catch(error => assert.fail(`${where}: ${error}`))

function check(where: string, door: DoorSample, answer: Answer, expected: Expected): void {
  assert.ok(answer.complete, `${where}: the answer has no end`)
  assert.ok(!JSON.stringify(answer.headers).includes('stolen') && answer.headers['set-cookie'] === undefined, where)
  if ('passes' in expected) {
    assert.equal(answer.status, expected.status ?? 200, where)
    if (expected.passes !== null) assert.equal(answer.text, expected.passes.toString(), where)
    return
  }
  if ('refused' in expected) {
    const status = expected.refused === 'upstream_timeout' ? 504 : 502
    assert.equal(answer.status, status, `${where}: ${answer.text.slice(0, 300)}`)
    const shaped: unknown = JSON.parse(answer.text)
    assert.equal(door.codeIn(shaped), expected.refused, where)
    assert.ok(door.ownShape(shaped), `${where}: ${answer.text}`)
    // An upstream's own wish is passed on; without one, a second.
    assert.equal(answer.headers['retry-after'], String(expected.retryAfter ?? 1), where)
    assert.equal(answer.headers['x-should-retry'], undefined, where)
    assert.equal(answer.headers['location'], undefined, where)
    return
  }
  assert.equal(answer.status, 200, where)
  // Every event before it is whole: a client's parser comes as far as the error.
  const last = sse(answer.text).at(-1)
  assert.equal(door.codeIn(last), expected.breaks, `${where}: ${answer.text.slice(-500)}`)
  assert.ok(door.ownShape(last), `${where}: ${JSON.stringify(last)}`)
}

function checkRow(where: string, row: LlmCompleted, expected: Expected): void {
  const outcome = 'outcome' in expected ? expected.outcome : 'error'
  assert.deepEqual([row.outcome, row.reason], [outcome, expected.reason], where)
  assert.equal(row.attempts, 1, where)
  if (outcome === 'success')
    assert.partialDeepStrictEqual(
      row,
      { input_tokens: 10, output_tokens: 3, usage_source: 'provider', cost_nano_usd: 16_000 },
      where,
    )
}
