import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type EventReader, readEvents } from '../../services/core/wire/sse.ts'

type Event = readonly [name: string, data: string]
const limit = 1 << 20

function read(pieces: readonly Buffer[], maxBytes = limit): Event[] {
  const events: Event[] = []
  const told = (name: string, data: string | null) => {
    if (data !== null) events.push([name, data])
  }
  const reader: EventReader = readEvents(maxBytes)
  for (const piece of pieces) reader.push(piece, told)
  reader.end(told)
  return events
}

/** The bytes cut at the given places. */
function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map(place => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end))
}

test('events are read alike wherever the bytes are cut and whichever way the lines end', () => {
  const line = fc.string({ unit: fc.constantFrom('a', 'é', '語', '😀', ':', ' ', '"', '{') })
  const events = fc.array(
    fc.record({
      name: fc.constantFrom('', 'error', 'message_start'),
      lines: fc.array(line, { minLength: 1, maxLength: 3 }),
      comment: fc.boolean(),
    }),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(
      events,
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 40 }),
      (list, eol, mark, places) => {
        const text = list
          .map(({ name, lines, comment }) =>
            [
              ...(comment ? [': ping'] : []),
              ...(name ? [`event: ${name}`] : []),
              ...lines.map(l => `data: ${l}`),
              '',
              '',
            ].join(eol),
          )
          .join('')
        const bytes = Buffer.from((mark ? '\ufeff' : '') + text)
        const expected = list.map(({ name, lines }) => [name, lines.join('\n')])
        assert.deepEqual(read([bytes]), expected)
        assert.deepEqual(read(cutAt(bytes, places)), expected)
        assert.deepEqual(read([...bytes].map(byte => Buffer.from([byte]))), expected)
      },
    ),
    { seed: 21 },
  )
})

test('the letter of the format is kept', () => {
  const of = (text: string) => read([Buffer.from(text)])
  assert.deepEqual(of('data:x\n\n'), [['', 'x']], 'the space is optional')
  assert.deepEqual(of('data:  x\n\n'), [['', ' x']], 'only one is')
  assert.deepEqual(of('data\n\n'), [['', '']], 'a field without a colon is empty')
  assert.deepEqual(of('database: 1\nid: 3\nretry: 5\n\n'), [], 'other fields say nothing')
  assert.deepEqual(of(': comment\n\n\n\n'), [])
  assert.deepEqual(
    of('event: a\nevent: b\ndata: 1\n\ndata: 2\n\n'),
    [
      ['b', '1'],
      ['', '2'],
    ],
    'a name is for one event',
  )
  assert.deepEqual(
    of('data: 1\n\ndata: 2'),
    [
      ['', '1'],
      ['', '2'],
    ],
    'a last event needs no blank line',
  )
  assert.deepEqual(of('data: 1\r\rdata: 2\r\n\ndata: 3\n\r\n'), [
    ['', '1'],
    ['', '2'],
    ['', '3'],
  ])
})

test('where the next event begins is told to the byte', () => {
  const reader = readEvents(limit)
  const ends: number[] = []
  const told = (_name: string, _data: string | null, next: number) => ends.push(next)
  reader.push(Buffer.from('data: 1\n\n: x\r\n\r\ndata: 2\r\n\r'), told)
  assert.deepEqual(ends, [9, 16, 26])
  assert.equal(reader.betweenCrLf(), true)
  reader.push(Buffer.from('\ndata: 3\n\n'), told)
  assert.deepEqual(ends, [9, 16, 26, 10])
})

test('an event above the limit is passed over, and the next one is read', () => {
  const big = `data: ${'x'.repeat(5000)}`
  for (const text of [
    `${big}\n\ndata: ok\n\n`,
    `${`${big}\n`.repeat(3)}\ndata: ok\n\n`,
    `event: e\n${big}\n\ndata: ok\n\n`,
  ])
    for (const size of [100_000, 700, 1]) {
      const bytes = Buffer.from(text)
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      )
      assert.deepEqual(read(pieces, 4000), [['', 'ok']])
    }
})

test('one event in thousands of pieces is read in linear time', () => {
  const bytes = Buffer.from(`data: ${'x'.repeat(8_000_000)}\n\n`)
  const began = performance.now()
  const pieces = Array.from({ length: Math.ceil(bytes.length / 100) }, (_, i) => bytes.subarray(i * 100, (i + 1) * 100))
  assert.equal(read(pieces, 1 << 24)[0]?.[1].length, 8_000_000)
  assert.ok(performance.now() - began < 3000)
})
