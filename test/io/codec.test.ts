import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { header } from '../../schemas/envelope.ts'
import {
  decodeRecord,
  encodeRecord,
  frameBytes,
  isIntact,
  keyAt,
  sizeBound,
  timeAt,
} from '../../services/io/log/codec.ts'
import { walk } from '../../services/io/log/file/walk.ts'

const text = fc.string({ unit: 'grapheme', maxLength: 60 })
const headers = fc
  .tuple(
    fc.dictionary(text, text, { maxKeys: 6 }),
    fc.dictionary(
      fc.constantFrom(...Object.values(header)),
      fc.oneof(text, fc.constantFrom('1.0', 'application/json')),
    ),
  )
  .map(([any, known]) => ({ ...any, ...known }))
const record = fc.record({
  key: fc.option(text),
  headers,
  value: fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
})
const offset = fc.maxSafeNat()
const time = fc.nat({ max: 2 ** 48 - 1 })

test('what is decoded is what was encoded, and never longer than was reserved', () => {
  fc.assert(
    fc.property(record, offset, time, fc.nat({ max: 40 }), (one, number, ms, at) => {
      const bytes = Buffer.alloc(at + sizeBound(one), 0xee)
      const end = encodeRecord(bytes, at, number, ms, one)
      assert.ok(end <= bytes.length)
      const frame = frameBytes(bytes, at, end)
      assert.equal(frame, end - at)
      assert.ok(isIntact(bytes, at, frame))
      const back = decodeRecord(bytes, at, frame)
      assert.deepEqual(
        { ...back, headers: { ...back.headers } },
        { ...one, headers: { ...one.headers }, offset: number },
      )
      assert.equal(timeAt(bytes, at), ms)
      assert.equal(keyAt(bytes, at), one.key)
    }),
  )
})

test('a header by any name is an entry of its own and changes no prototype', () => {
  const odd = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c","":"d"}')
  const one = { key: 'k', headers: odd, value: Buffer.alloc(0) }
  const bytes = Buffer.alloc(sizeBound(one))
  const frame = encodeRecord(bytes, 0, 0, 0, one)
  const back = decodeRecord(bytes, 0, frame)
  assert.deepEqual(Object.entries(back.headers), Object.entries(odd))
  assert.equal(Object.getPrototypeOf(back.headers), Object.prototype)
})

test('a frame that is not all there is not read, and any changed byte is noticed', () => {
  fc.assert(
    fc.property(record, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, where, flip) => {
      const bytes = Buffer.alloc(sizeBound(one))
      const end = encodeRecord(bytes, 0, 7, 7, one)
      assert.equal(frameBytes(bytes, 0, where % end), 0)
      bytes[where % end]! ^= flip
      const frame = frameBytes(bytes, 0, end)
      assert.ok(frame <= 0 || !isIntact(bytes, 0, frame))
    }),
  )
})

test('a walk in windows of any size visits what a walk over the whole does', () => {
  fc.assert(
    fc.property(
      fc.array(record, { maxLength: 20 }),
      fc.integer({ min: 1, max: 4_000 }),
      fc.nat({ max: 20 }),
      (all, size, from) => {
        const bytes = Buffer.alloc(all.reduce((sum, one) => sum + sizeBound(one), 0))
        let end = 0
        for (const [i, one] of all.entries()) end = encodeRecord(bytes, end, i, 0, one)
        const seen: number[] = []
        let at = 0
        let next = from
        for (let window = size; at < end; ) {
          const limit = Math.min(end, at + window)
          const options = { next, damage: 'skip', last: limit === end } as const
          const walked = walk(bytes.subarray(at, limit), limit - at, options, (_bytes, _at, _frame, number) => {
            seen.push(number)
            return true
          })
          assert.equal(walked.skipped, 0)
          next = walked.next
          at += walked.done
          window = walked.done === 0 ? window * 2 : size
        }
        assert.deepEqual(
          seen,
          Array.from({ length: Math.max(0, all.length - from) }, (_, i) => from + i),
        )
      },
    ),
  )
})
