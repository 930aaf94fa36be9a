import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breakers } from '../../../schemas/breakers.ts'
import { openRules } from '../../../services/core/rules/rules.ts'
import { answered, asked, called, changed, history, llm, play, returned, rulesOf, times, told, tool } from './given.ts'

const on = { loop: {} }
const tell = (said: Parameters<typeof history>[0], knobs: Readonly<Record<string, unknown>> = on) =>
  play(rulesOf(knobs), history(said))

test('the fifth same call with the same result pauses the run, not necessarily in a row', () => {
  const said = [
    tool('ls'),
    tool('cat', '{"f":1}', 'x'),
    tool('ls'),
    tool('ls'),
    tool('cat', '{"f":2}', 'y'),
    tool('ls'),
  ] // prettier-ignore
  assert.deepEqual(told(tell(said)), [])
  const [signal, ...more] = tell([...said, tool('ls')])
  assert.deepEqual(more, [])
  assert.ok(signal !== undefined)
  assert.equal(signal.action, 'pause')
  assert.equal(signal.scope, 'run:r')
  assert.deepEqual(signal.data, { repeats: 5, within: 7, call: 'ls', kind: 'tool' })
  assert.deepEqual(
    signal.evidence,
    [1, 5, 7, 11, 13].map(n => `gateway-t.1.${n}`),
  )
  assert.equal(signal.id, 'gateway-t.1.13/run:r/loop:signal')
  assert.equal(signal.policy_version, 'v1')
})

test('polling with changing results is never stopped, under any rule of the default policy', () => {
  const rules = openRules(breakers.parse({}), 'v1')
  const polls = times(300, i => tool('status', '{"job":7}', `running, ${i} %`))
  assert.deepEqual(play(rules, history(polls, 2000)), [])
})

test('the same call in another spelling is the same call', () => {
  // Gateways write arguments canonically; the hash is of that.
  const spelled = times(5, () => tool('ls', '{"a":1,"b":2}'))
  assert.equal(tell(spelled).length, 1)
})

test('arguments that come and go are not looked at', () => {
  const said = times(5, i => tool('ls', `{"path":"/","requestId":"${i}","deep":[{"timestamp":${i}}]}`))
  assert.equal(tell(said).length, 1)
  assert.equal(tell(said, { loop: {}, volatile: ['timestamp'] }).length, 0)
  assert.equal(tell(said, { loop: {}, volatile: ['timestamp', 'requestId'] }).length, 1)
})

test('a number told as text, and a member that says nothing, make no other call', () => {
  const spelled = [
    '{"bug":16}',
    '{"bug":"16"}',
    '{"bug":16,"hints":[]}',
    '{"bug":16,"hints":null}',
    '{"bug":"16","to":""}',
  ]
  assert.equal(tell(spelled.map(args => tool('read', args))).length, 1)
  for (const other of ['{"bug":"016"}', '{"bug":"16a"}', '{"bug":17}', '{"bug":0}', '{"bug":false}'])
    assert.deepEqual(tell([...times(4, () => tool('read', '{"bug":16}')), tool('read', other)]), [], other)
})

test('arguments of which only a part was kept are compared by their hash', () => {
  const cut = (i: number) => ({ ...returned('w', '{"nonce":1,"text":"aaaa'), args_hash: `whole ${i}` })
  assert.equal(tell(times(8, i => [cut(i)])).length, 0)
  assert.equal(tell(times(5, () => [cut(1)])).length, 1)
})

test('who edits and tests, and sees the same test fail, is at work', () => {
  const round = (i: number) => [tool('edit', `{"v":${i}}`, `${i}`), tool('read', `{"v":${i}}`, `${i}`), tool('test')]
  assert.deepEqual(told(tell(times(40, round).flat())), [])
})

test('a result that is not known is no repeat', () => {
  assert.deepEqual(tell(times(20, () => tool('ls', '{}', null))), [])
})

test('calls under way together are one: nobody had heard yet', () => {
  const together = (n: number) => [
    ...times(n, i => called('ls', '{}', 'r', `c${i}`)),
    ...times(n, i => returned('ls', '{}', 'ok', 'r', { tool_call_id: `c${i}` })),
  ]
  assert.deepEqual(tell([together(20)]), [])
  assert.deepEqual(tell(times(4, () => together(20))), [])
  assert.equal(tell(times(5, () => together(20))).length, 1)
  const models = (n: number) => [
    ...times(n, i => asked('r', `q${i}`)),
    ...times(n, i => answered('hello', 'hi', 'r', { request_id: `q${i}` })),
  ]
  assert.deepEqual(tell([models(30)]), [])
})

test('an agent without tools that asks the same and hears the same loops too', () => {
  const signals = tell(times(5, () => llm('go on', 'I am done.')))
  assert.deepEqual(told(signals), ['loop pause run:r'])
  assert.equal(signals[0]?.cost_nano_usd, 5_000_000)
  assert.deepEqual(tell(times(20, i => llm('go on', `${i}`))), [])
  // Instructions are no turn: requests of one turn that differ in size may differ in what was asked.
  const data = (length: number) => ({
    data: { thread: { length, first: '', last: 'x', chain: 'x', answer: 'y', ids: [] } },
  })
  assert.deepEqual(tell(times(9, i => llm('', 'y', 'r', { ...data(1), input_tokens: i }))), [])
})

test('a rule speaks once, and again when it has been quiet for a while', () => {
  const many = times(40, () => tool('ls'))
  assert.equal(tell(many).length, 1)
  const calm = times(25, i => tool('cat', `${i}`, `${i}`))
  assert.equal(tell([...many, ...calm, ...many]).length, 2)
})

test('stages speak one after the other', () => {
  const stages = [
    { action: 'alert', at: 3 },
    { action: 'backoff', at: 5 },
    { action: 'kill', at: 8 },
  ]
  const signals = tell(
    times(12, () => tool('ls')),
    { loop: { stages, backoffFor: '5s' } },
  )
  assert.deepEqual(
    signals.map(({ action, data, backoff_ms }) => [action, data['repeats'], backoff_ms]),
    [
      ['alert', 3, undefined],
      ['backoff', 5, 5000],
      ['kill', 8, undefined],
    ],
  )
  assert.throws(() => breakers.parse({ loop: { stages: stages.toReversed() } }))
})

test('after a resume the rule begins afresh', () => {
  const five = times(5, () => tool('ls'))
  assert.equal(tell([...five, changed('run.resumed'), ...five.slice(1)]).length, 1)
  assert.equal(tell([...five, changed('run.resumed'), ...five]).length, 2)
})

test('a shadow rule says what it would have done', () => {
  const [signal] = tell(
    times(5, () => tool('ls')),
    { loop: { mode: 'shadow', action: 'kill' } },
  )
  assert.equal(signal?.mode, 'shadow')
  assert.equal(signal?.action, 'kill')
})

test('runs of an agent that do the same one after the other are seen where the rule looks at agents', () => {
  const said = times(5, i => tool('ls', '{}', 'ok', `r${i}`))
  assert.deepEqual(told(tell(said)), [])
  assert.deepEqual(told(tell(said, { loop: { scope: 'agent' } })), ['loop pause agent:a'])
})

test('a loop that could never be seen within so few steps is seen all the same', () => {
  assert.equal(
    tell(
      times(5, () => tool('ls')),
      { loop: { repeats: 5, within: 1 } },
    ).length,
    1,
  )
  assert.equal(
    tell(
      times(9, () => tool('ls')),
      { loop: { repeats: 1, within: 1 } },
    ).length,
    1,
  )
})
