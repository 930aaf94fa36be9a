import assert from 'node:assert/strict'
import { test } from 'node:test'
import { called, failing, history, llm, play, returned, rulesOf, times, told, tool } from './given.ts'

const tell = (said: Parameters<typeof history>[0], knobs = {}) => play(rulesOf({ errorStreak: knobs }), history(said))

test('ten errors in a row pause the run, whatever its model says in between', () => {
  const said = times(10, i => [...llm(`q${i}`, `a${i}`), ...failing('sql', `${i}`)])
  assert.deepEqual(told(tell(said.slice(1))), [])
  const [signal] = tell(said)
  assert.equal(signal?.data['errors'], 10)
  assert.equal(signal?.evidence.length, 10)
})

test('one success breaks the streak', () => {
  const nine = times(9, i => failing('sql', `${i}`))
  assert.deepEqual(tell([...nine, tool('sql'), ...nine]), [])
})

test('errors of models count for themselves', () => {
  assert.deepEqual(told(tell(times(10, () => llm('q', null)))), ['errorStreak pause run:r'])
})

test('calls that fail together count once, for nobody had heard yet', () => {
  const together = [
    ...times(30, i => called('sql', '{}', 'r', `c${i}`)),
    ...times(30, i => returned('sql', '{}', 'no', 'r', { tool_call_id: `c${i}`, outcome: 'error' })),
  ]
  assert.deepEqual(tell([together]), [])
  assert.equal(tell(times(10, () => together)).length, 1)
})

test('a tool can be looked at across runs and agents', () => {
  const said = times(10, i => failing('sql', '{}', `r${i}`))
  assert.deepEqual(told(tell(said, { scope: 'tool' })), ['errorStreak pause tool:sql'])
  assert.deepEqual(told(tell(said, { scope: 'team' })), [])
})
