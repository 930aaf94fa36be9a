import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { afterTry, closed, isOpen } from '../../services/core/circuit.ts'
import { backoffMs, orderOfTargets, retryAfterMs } from '../../services/core/plan.ts'

const target = fc.record({ name: fc.uuid(), weight: fc.integer({ min: 1, max: 100 }) })
const never = () => false

test('every target is tried once, fallbacks after the weighted ones', () => {
  fc.assert(
    fc.property(
      fc.array(target, { minLength: 1 }),
      fc.array(target),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (targets, fallback, draw) => {
        const line = orderOfTargets(targets, fallback, draw, never)
        assert.deepEqual(new Set(line), new Set([...targets, ...fallback]))
        assert.equal(line.length, targets.length + fallback.length)
        assert.deepEqual(line.slice(targets.length), fallback)
      },
    ),
  )
})

test('the first target is drawn in proportion to its weight', () => {
  const [a, b] = [{ weight: 3 }, { weight: 1 }]
  const firsts = Array.from({ length: 1000 }, (_, i) => orderOfTargets([a, b], [], i / 1000, never)[0])
  assert.equal(firsts.filter(first => first === a).length, 750)
})

test('an open circuit stands back, and is tried all the same when all are open', () => {
  const [a, b, c] = [{ weight: 100 }, { weight: 1 }, { weight: 1 }]
  assert.deepEqual(
    orderOfTargets([a, b], [c], 0, t => t === a),
    [b, c, a],
  )
  assert.deepEqual(
    orderOfTargets([a], [], 0, () => true),
    [a],
  )
})

test('a circuit opens after repeated failure, for longer each time, and closes with one success', () => {
  let circuit = closed
  for (let i = 0; i < 4; i++) circuit = afterTry(circuit, false, 0)
  assert.ok(!isOpen(circuit, 0))
  circuit = afterTry(circuit, false, 0)
  assert.ok(isOpen(circuit, 4_999) && !isOpen(circuit, 5_000))
  circuit = afterTry(circuit, false, 10_000)
  assert.ok(isOpen(circuit, 19_999) && !isOpen(circuit, 20_000))
  for (let i = 0; i < 50; i++) circuit = afterTry(circuit, false, 0)
  assert.ok(!isOpen(circuit, 60_000))
  assert.deepEqual(afterTry(circuit, true, 0), closed)
})

test('a wait grows, is bounded, and is never shorter than the upstream asked', () => {
  const retry = { attempts: 9, baseMs: 100, maxMs: 1000 }
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (n, draw) => {
      const wait = backoffMs(retry, n, draw, null)
      assert.ok(wait >= 50 && wait <= 1000)
      assert.ok(backoffMs(retry, n, draw, 3000) >= 3000)
    }),
  )
})

test('retry-after is read as milliseconds, seconds or a date', () => {
  assert.equal(retryAfterMs('1500', '7', 0), 1500)
  assert.equal(retryAfterMs(null, '7', 0), 7000)
  assert.equal(retryAfterMs(null, 'Thu, 01 Jan 1970 00:00:09 GMT', 4000), 5000)
  assert.equal(retryAfterMs(null, 'soon', 0), null)
  assert.equal(retryAfterMs(null, '-3', 0), null)
  assert.equal(retryAfterMs(null, null, 0), null)
})
