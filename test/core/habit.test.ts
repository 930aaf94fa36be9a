import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expected, learn, openHabit, type Use } from '../../services/core/money/habit.ts'

const uses = fc.record({
  bytes: fc.integer({ min: 1, max: 1_000_000 }),
  choices: fc.integer({ min: 1, max: 4 }),
  inputTokens: fc.integer({ min: 0, max: 300_000 }),
  outputTokens: fc.integer({ min: 0, max: 100_000 }),
})
const habitOf = (all: readonly Use[]) => {
  const habit = openHabit()
  for (const use of all) learn(habit, use)
  return habit
}
const alike = (outputTokens: number): Use => ({ bytes: 400, choices: 1, inputTokens: 100, outputTokens })
const most: Use = { bytes: 400, choices: 1, inputTokens: 464, outputTokens: 4_096 }

test('never more is held than a call can use, whatever was used before', () => {
  fc.assert(
    fc.property(fc.array(uses, { maxLength: 250 }), uses, (before, next) => {
      const { inputTokens, outputTokens } = expected(habitOf(before), next)
      assert.ok(inputTokens <= next.inputTokens && outputTokens <= next.outputTokens)
    }),
  )
})

test('all but one in fifty of the last hundred calls would have stayed within what is held for the next', () => {
  fc.assert(
    fc.property(fc.array(uses, { minLength: 20, maxLength: 250 }), before => {
      const last = before.slice(-100)
      const unbounded = { bytes: 1_000_000, choices: 1_000, inputTokens: 1e15, outputTokens: 1e15 }
      const { inputTokens, outputTokens } = expected(habitOf(before), unbounded)
      const over = (figure: (use: Use) => number, held: number) => last.filter(use => figure(use) > held).length
      assert.ok(over(use => use.outputTokens / use.choices, outputTokens / 1_000) <= last.length / 50)
      assert.ok(over(use => use.inputTokens / use.bytes, inputTokens / 1_000_000) <= last.length / 50)
    }),
  )
})

test('a call is held to all that it can use until enough are known', () => {
  assert.deepEqual(expected(habitOf(Array(19).fill(alike(50))), most), most)
  const { inputTokens, outputTokens } = expected(habitOf(Array(20).fill(alike(50))), most)
  assert.deepEqual([inputTokens, outputTokens], [125, 63])
})

test('an agent that changes its ways is held to the new ones, and the old are forgotten', () => {
  const small = Array<Use>(100).fill(alike(50))
  const large = Array<Use>(100).fill(alike(3_000))
  assert.equal(expected(habitOf([...small, ...large.slice(0, 3)]), most).outputTokens, 3_750)
  assert.equal(expected(habitOf([...large, ...small]), most).outputTokens, 63)
})

test('several answers at once are held to as many times what one uses', () => {
  const habit = habitOf(Array(20).fill({ ...alike(150), choices: 3 }))
  assert.equal(expected(habit, { ...most, choices: 2 }).outputTokens, 125)
})
