import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { crc32 } from '../../services/core/wire/crc32.ts'
import { frameOf, readFrames } from '../../services/core/wire/frames.ts'
import { recordedExchanges, recordings } from '../protocols/recorded.ts'

type Told = readonly [name: string, data: string | null, end: number]

/** What is told of the pieces, with the place in all of them at which the next frame begins. */
function read(pieces: readonly Buffer[], maxBytes = 1 << 20): { told: Told[]; whole: boolean } {
  const told: Told[] = []
  const reader = readFrames(maxBytes)
  let before = 0
  for (const piece of pieces) {
    reader.push(piece, (name, data, next) => told.push([name, data, before + next]))
    before += piece.length
  }
  return { told, whole: reader.whole() }
}

const event = (type: string, payload: string) =>
  frameOf({ ':event-type': type, ':content-type': 'application/json', ':message-type': 'event' }, payload)

const bytewise = (bytes: Buffer) => [...bytes].map(byte => Buffer.from([byte]))

test('a checksum is the one that everybody computes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (bytes, at) => {
      const cut = at % (bytes.length + 1)
      assert.equal(crc32(bytes), zlibCrc32(bytes))
      assert.equal(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut))), zlibCrc32(bytes))
    }),
    { seed: 81 },
  )
})

test('frames are read alike wherever the bytes are cut', () => {
  const frame = fc.tuple(fc.constantFrom('a', 'contentBlockDelta', ''), fc.string({ unit: 'grapheme', maxLength: 40 }))
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 30 }), (list, places) => {
      const frames = list.map(([type, payload]) => event(type, payload))
      const bytes = Buffer.concat(frames)
      const ends = frames.map((_frame, i) => frames.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
      const expected = { told: list.map(([type, payload], i) => [type, payload, ends[i]]), whole: true }
      const cuts = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
      assert.deepEqual(read([bytes]), expected)
      assert.deepEqual(read(bytewise(bytes)), expected)
      assert.deepEqual(read(cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end))), expected)
    }),
    { seed: 82, numRuns: 300 },
  )
})

test('what is no frame ends the reading and not the program', () => {
  const good = event('a', '{}')
  const bad = Buffer.from(event('b', '{}'))
  bad[3] = (bad[3] ?? 0) + 1 // another length, and a checksum that no longer fits
  assert.deepEqual(read([good, bad, good]), { told: [['a', '{}', good.length]], whole: false })
  assert.equal(read([good.subarray(0, 20)]).whole, false)
  assert.equal(read([]).whole, true)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 40 }), (bytes, headers) => {
      read([Buffer.from(bytes)])
      // Headers that lie about their lengths, in a frame that does not.
      const frame = Buffer.concat([Buffer.alloc(12), headers, Buffer.alloc(4)])
      frame.writeUInt32BE(frame.length, 0)
      frame.writeUInt32BE(headers.length, 4)
      frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8)
      assert.equal(read([frame]).told.length, 1)
    }),
    { seed: 83, numRuns: 500 },
  )
})

test('a frame that is too large is passed over, and the next one is read', () => {
  const bytes = Buffer.concat([event('a', 'x'.repeat(500)), event('b', '{}')])
  for (const pieces of [[bytes], bytewise(bytes)])
    assert.deepEqual(
      read(pieces, 200).told.map(([name, data]) => [name, data]),
      [
        ['', null],
        ['b', '{}'],
      ],
    )
})

test('an exception is told by its name, and an error of the transport too', () => {
  const exception = frameOf(
    { ':exception-type': 'throttlingException', ':message-type': 'exception' },
    '{"message":""}',
  )
  const error = frameOf({ ':error-code': 'X', ':error-message': 'why', ':message-type': 'error' }, '')
  assert.deepEqual(
    read([exception, error]).told.map(([name, data]) => [name, data]),
    [
      ['exception throttlingException', '{"message":""}'],
      ['exception X', '{"message":"why"}'],
    ],
  )
})

const streams = recordedExchanges()?.filter(({ contentType }) => contentType.includes('amazon.eventstream'))

test('a recorded frame made again is the same to the byte', {
  skip: streams === undefined ? `no recordings at ${recordings}` : false,
}, t => {
  let frames = 0
  for (const { answer } of streams ?? []) {
    const { told, whole } = read([answer])
    assert.ok(whole)
    assert.deepEqual(Buffer.concat(told.map(([name, data]) => event(name, data ?? ''))), answer)
    frames += told.length
  }
  t.diagnostic(`${frames} frames of ${streams?.length} streams`)
  assert.ok(frames > 50)
})
