import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ToolCalls } from '../../services/core/conversation/tool-calls.ts'
import { callOf, digest, resultOf } from './dialogue.ts'

const strong = (n: number): string => `call_${digest(`a ${n}`)}${digest(`b ${n}`)}`

test('a call is told once and its result once, whatever is sent again and in which order', () => {
  // Each number is a call; it may be seen again, and its result may come again, at any later time.
  fc.assert(
    fc.property(fc.array(fc.record({ n: fc.nat(8), result: fc.boolean() }), { maxLength: 80 }), seen => {
      const calls = new ToolCalls<number>()
      const [asked, answered] = [new Set<number>(), new Set<number>()]
      for (const [at, { n, result }] of seen.entries()) {
        if (result) {
          const open = calls.answer(resultOf(strong(n), null))
          assert.equal(open !== null, asked.has(n) && !answered.has(n))
          if (open !== null) {
            assert.equal(open.about, n)
            answered.add(n)
          }
        } else {
          assert.equal(calls.call(callOf(strong(n), 'look_up'), at, n), !asked.has(n))
          asked.add(n)
        }
        assert.equal(calls.open, asked.size - answered.size)
      }
      const left = calls.abandon().map(({ about }) => about)
      assert.deepEqual(new Set(left), asked.difference(answered))
      assert.equal(calls.open, 0)
    }),
  )
})

test('an id that each step uses again names another call each time', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 10 }), steps => {
      const calls = new ToolCalls<string>()
      for (const [step, count] of steps.entries()) {
        for (let i = 0; i < count; i++)
          assert.ok(calls.call(callOf(`call_${i}`, 'look_up'), step, `${step}.${i}`), 'each is a call of its own')
        // Results come in another order than the calls.
        for (let i = count - 1; i >= 0; i--)
          assert.equal(calls.answer(resultOf(`call_${i}`, 'look_up'))?.about, `${step}.${i}`)
        assert.equal(calls.answer(resultOf('call_0', 'look_up')), null)
      }
    }),
  )
})

test('calls without ids are answered by name, in the order in which they were asked', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }), names => {
      const calls = new ToolCalls<number>()
      for (const [i, name] of names.entries()) calls.call(callOf(null, name), i, i)
      for (const name of ['c', 'a', 'b']) {
        const expected = names.flatMap((one, i) => (one === name ? [i] : []))
        assert.deepEqual(
          expected.map(() => calls.answer(resultOf(null, name))?.about),
          expected,
        )
        assert.equal(calls.answer(resultOf(null, name)), null)
      }
    }),
  )
})

test('a result of another call answers nothing', () => {
  const calls = new ToolCalls<number>()
  calls.call(callOf(strong(1), 'look_up'), 0, 1)
  assert.equal(calls.answer(resultOf(strong(2), 'look_up')), null)
  assert.equal(calls.answer(resultOf(null, 'look_up')), null)
  assert.equal(calls.open, 1)
})

test('a call whose word could not be kept is told again as if it had never been', () => {
  const calls = new ToolCalls<null>()
  const call = { id: 'call_8f3kq1', name: 'search', args: '{}', by: 'client' as const }
  assert.ok(calls.call(call, 0, null))
  calls.forget(call.id, call.name)
  assert.equal(calls.open, 0)
  assert.ok(calls.call(call, 1, null))
  assert.equal(calls.answer({ id: call.id, name: null, content: '', isError: false })?.at, 1)
})
