import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readElements } from '../../services/core/wire/json-elements.ts'

function read(pieces: readonly Buffer[], limit = 1 << 20) {
  const elements: unknown[] = []
  const reader = readElements(limit, json => elements.push(JSON.parse(json)))
  for (const piece of pieces) reader.push(piece)
  return { elements, closed: reader.closed() }
}

test('the elements of an array come one by one, wherever its bytes are cut', () => {
  const element = fc.dictionary(fc.string(), fc.jsonValue())
  fc.assert(
    fc.property(fc.array(element), fc.nat({ max: 3 }), fc.nat({ max: 30 }), (array, indent, size) => {
      const bytes = Buffer.from(JSON.stringify(array, null, indent))
      const expected = JSON.parse(bytes.toString())
      const pieces = Array.from({ length: Math.ceil(bytes.length / (size + 1)) }, (_, i) =>
        bytes.subarray(i * (size + 1), (i + 1) * (size + 1)),
      )
      assert.deepEqual(read(pieces), { elements: expected, closed: true })
    }),
    { seed: 31 },
  )
})

test('an array that breaks off has told what was whole, and is not closed', () => {
  assert.deepEqual(read([Buffer.from('[{"a":"}]"},{"b":')]), { elements: [{ a: '}]' }], closed: false })
})

test('an element above the limit is passed over', () => {
  const text = `[{"a":"${'x'.repeat(500)}"},{"b":1}]`
  assert.deepEqual(read([Buffer.from(text)], 100).elements, [{ b: 1 }])
  assert.deepEqual(
    read(
      [...text].map(c => Buffer.from(c)),
      100,
    ).elements,
    [{ b: 1 }],
  )
})
