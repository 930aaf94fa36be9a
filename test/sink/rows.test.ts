import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { header } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import { markOf, readMark, type Standing } from '../../services/sink/intent.ts'
import { readRow, unreadableRow } from '../../services/sink/rows.ts'

const at = { topic: 'sluice.events', partition: 3 }
const time = '2026-03-01T10:20:30.456Z'
const record = (value: string | Buffer, headers: Message['headers'] = {}) => ({
  key: null,
  headers: {
    [header.id]: 'gateway-a-0.2.9',
    [header.type]: 'llm.completed',
    [header.source]: '/s',
    [header.time]: time,
    ...headers,
  },
  value: Buffer.from(value),
  offset: 77,
})
const textOf = (line: ReturnType<typeof readRow>['line']) => {
  if ('unreadable' in line) throw new Error(line.unreadable)
  return Buffer.concat(line).toString()
}
const reserved = [
  'topic',
  'partition',
  'offset',
  'event_id',
  'producer',
  'epoch',
  'sequence',
  'type',
  'ts',
  'source',
  'stored_at',
]

test('a body of any shape keeps its own bytes and gets its envelope in front, in one line of JSON', () => {
  const bodies = fc.dictionary(
    fc.string().filter(key => !reserved.includes(key) && key !== '__proto__'),
    fc.jsonValue(),
  )
  fc.assert(
    fc.property(bodies, fc.constantFrom(undefined, 1), fc.string(), fc.string(), (body, indent, type, source) => {
      const text = JSON.stringify(body, null, indent)
      const line = textOf(readRow(at, record(text, { [header.type]: `t${type}`, [header.source]: source })).line)
      assert.ok(line.endsWith(`${text.slice(1)}\n`))
      const {
        topic,
        partition,
        offset,
        event_id,
        producer,
        epoch,
        sequence,
        type: told,
        source: from,
        ts,
        ...rest
      } = JSON.parse(line)
      assert.deepEqual(
        { topic, partition, offset, event_id, producer, epoch, sequence, told, from, ts },
        {
          topic: 'sluice.events',
          partition: 3,
          offset: 77,
          event_id: 'gateway-a-0.2.9',
          producer: 'gateway-a-0',
          epoch: 2,
          sequence: 9,
          told: `t${type}`,
          from: source,
          ts: '2026-03-01 10:20:30.456',
        },
      )
      assert.deepEqual(rest, JSON.parse(text))
    }),
  )
})

test('whatever bytes a record holds, reading it never throws and never gives more than one row', () => {
  const bytes = fc.oneof(
    fc.uint8Array().map(array => Buffer.from(array)),
    fc.json().map(text => Buffer.from(text)),
    fc.tuple(fc.json(), fc.json()).map(([a, b]) => Buffer.from(`${a}${b}`)),
    fc.tuple(fc.json(), fc.nat()).map(([text, n]) => Buffer.from(text).subarray(0, n)),
  )
  fc.assert(
    fc.property(bytes, fc.dictionary(fc.constantFrom(...Object.values(header)), fc.string()), (value, headers) => {
      const reading = readRow(at, record(value, headers))
      if (!('unreadable' in reading.line)) assert.equal(typeof JSON.parse(textOf(reading.line)), 'object')
      const stub = JSON.parse(unreadableRow(at, reading, Date.parse(time), 'because').toString())
      assert.deepEqual([stub.offset, stub.type, stub.data], [77, 'record.unreadable', { why: 'because' }])
    }),
  )
})

test('a foreign id has no order, and a time is read whatever its zone', () => {
  for (const id of ['abc', 'a.b.c', 'gateway.1.-4', 'x.-1.2'])
    assert.equal(readRow(at, record('{}', { [header.id]: id })).origin, null)
  assert.equal(readRow(at, record('{}', { [header.time]: '2026-03-01T12:20:30.456+02:00' })).time, Date.parse(time))
  assert.equal(readRow(at, record('{}', { [header.previous]: '4' })).previous, 4)
  assert.equal(readRow(at, record('{}', { [header.previous]: 'four' })).previous, null)
})

test('what was kept with a mark is read as it was; a mark of somebody else begins anew', () => {
  const standings: readonly Standing[] = [
    { log: 'l1', next: 5, to: 9, known: -1 },
    { log: 'l1', next: 10, to: null, known: -1 },
    { log: 'l1', next: 10, to: 12, known: 40 },
  ]
  for (const standing of standings) assert.deepEqual(readMark(markOf(standing)), standing)
  for (const note of [undefined, '', '{', '3', '{"log":7}']) {
    const { log, ...rest } = readMark({ offset: 8, ...(note === undefined ? {} : { note }) })
    assert.deepEqual(rest, { next: 8, to: null, known: null })
    assert.ok(log.length > 8)
  }
  assert.equal(readMark(null).next, 0)
})
