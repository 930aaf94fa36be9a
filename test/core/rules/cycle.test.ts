import assert from 'node:assert/strict'
import { test } from 'node:test'
import { history, play, rulesOf, times, told, tool } from './given.ts'

const tell = (said: Parameters<typeof history>[0], knobs = {}) => play(rulesOf({ cycle: knobs }), history(said))
const ring = (letters: string, rounds: number) => times(rounds, () => [...letters].map(letter => tool(letter))).flat()

test('the fourth round of any period up to the longest stops the run, and not a step later', () => {
  for (const letters of ['A', 'AB', 'ABC', 'AAB', 'ABCDEF']) {
    const whole = ring(letters, 4)
    assert.deepEqual(tell(whole.slice(0, -1)), [], letters)
    const [signal] = tell(whole)
    assert.equal(signal?.action, 'pause', letters)
    assert.equal(signal?.data['rounds'], 4)
    assert.equal(signal?.data['period'], letters.length)
    assert.equal(signal?.evidence.length, 4 * letters.length)
  }
  assert.deepEqual(tell(ring('ABCDEFG', 10)), [])
  assert.equal(tell(ring('ABCDEFG', 4), { maxPeriod: 7 }).length, 1)
})

test('a cycle is found behind whatever went before, and a model that words each step anew does not hide it', () => {
  const before = times(50, i => tool('x', `${i}`, `${i}`))
  assert.equal(tell([...before, ...ring('AB', 4)]).length, 1)
})

test('a round in which one result is new is no round', () => {
  const rounds = times(30, i => [tool('A'), tool('B', '{}', `${i}`)]).flat()
  assert.deepEqual(tell(rounds), [])
})

test('a broken cycle that begins again is told again', () => {
  const signals = tell([...ring('AB', 9), tool('C'), ...ring('AB', 9)])
  assert.deepEqual(told(signals), ['cycle pause run:r', 'cycle pause run:r'])
})
