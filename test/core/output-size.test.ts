import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { outputSize, piecesOf, tokensOf } from '../../services/core/wire/output-size.ts'

test('bytes are those of UTF-8, however the text was cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' })), texts => {
      const size = outputSize()
      for (const text of texts) size.add(text)
      assert.equal(size.bytes(), Buffer.byteLength(texts.join('')))
    }),
    { seed: 41 },
  )
  const halves = outputSize()
  halves.add('\ud83d')
  assert.equal(halves.bytes(), 3, 'half a character is written as three bytes')
})

test('the estimate is not below a quarter of the bytes, nor below the number of pieces that streamed', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', minLength: 1 })), texts => {
      const size = outputSize()
      for (const text of texts) size.add(text)
      assert.ok(size.tokens() >= size.bytes() / 4)
      assert.ok(size.tokens() >= texts.length)
    }),
    { seed: 42 },
  )
})

test('nothing written is no token', () => {
  const size = outputSize()
  size.add('')
  assert.deepEqual([size.bytes(), size.tokens(), tokensOf('')], [0, 0, 0])
})

test('a call counts its markup, and a message its own', () => {
  const size = outputSize()
  size.call(20)
  size.add('get_weather')
  assert.ok(size.tokens() >= 24)
})

test('words, digits, marks and other scripts are cut as tokenizers cut them, or finer', () => {
  assert.equal(piecesOf('The cat sat on the mat'), 6)
  assert.equal(piecesOf('internationalization'), 4)
  assert.equal(piecesOf('12345'), 5)
  assert.equal(piecesOf('{"a":1}'), 5)
  assert.equal(piecesOf('\n\n    x'), 3)
  assert.equal(piecesOf('你好吗'), 5)
  assert.equal(piecesOf('привет'), 6)
  assert.equal(piecesOf('😀'), 3)
})
