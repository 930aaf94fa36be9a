import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { append, appendAll, type Bench, freshTopic, message, Reading, texts } from './probe.ts'

export function writingContract(bench: Bench): void {
  describe('writing', () => {
    test('key, headers and value come back byte for byte', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const everyByte = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      const sent = [
        message('plain', 'text'),
        message(null, 'no key'),
        message('schlüssel-鍵-🔑', everyByte),
        message('empty value', ''),
        message('one megabyte', randomBytes(1_000_000)),
        message('envelope', '{}', {
          ce_specversion: '1.0',
          ce_id: 'gateway-1.7.42',
          ce_type: 'llm.completed',
          ce_source: '/gateway/1',
          ce_time: '2026-01-02T03:04:05.006Z',
          'content-type': 'application/json',
        }),
        message('odd headers', 'x', {
          ce_specversion: '0.3',
          'content-type': '',
          überschrift: 'grüße, 世界 🌍',
          long: 'l'.repeat(5_000),
          'with space': ' a\tb\nc ',
        }),
        message('many headers', 'x', Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`h${i}`, `v${i}`]))),
      ]
      const offsets = await appendAll(writer, sent)
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.count(sent.length)
      await reading.end()
      for (const [i, want] of sent.entries()) {
        const got = reading.records[i]!
        assert.equal(got.key, want.key)
        assert.deepEqual(got.headers, want.headers)
        assert.ok(Buffer.isBuffer(got.value))
        assert.ok(got.value.equals(want.value), `value of record ${i} (${want.key})`)
        assert.equal(got.offset, offsets[i])
      }
    })

    test('records of a partition are read in the order of the calls, at rising offsets', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const sent = Array.from({ length: 3_000 }, (_, i) => message('k', `${i}`))
      const reading = new Reading(log, topic.name, 'earliest')
      // In bursts of many sizes, so that the batches of the writer are cut in many places.
      for (let from = 0, size = 1; from < sent.length; from += size, size = (size * 7 + 1) % 97) {
        await appendAll(writer, sent.slice(from, from + size))
      }
      await reading.count(sent.length)
      assert.deepEqual(
        await reading.end(),
        sent.map(one => one.value.toString()),
      )
      for (let i = 1; i < reading.records.length; i++) {
        assert.ok(reading.records[i]!.offset > reading.records[i - 1]!.offset)
      }
      for (const batch of reading.batches) {
        assert.ok(batch.records.length > 0)
        assert.ok(batch.end > batch.records.at(-1)!.offset)
      }
    })

    test('records of one key stay in one partition and in order', async () => {
      const log = bench.log()
      const topic = await freshTopic(log, { partitions: 3 })
      const writer = await log.writer(topic.name)
      const sent = Array.from({ length: 600 }, (_, i) => message(`key-${i % 20}`, `${i}`))
      const reading = new Reading(log, topic.name, 'earliest')
      await appendAll(writer, sent)
      await reading.count(sent.length)
      await reading.end()
      const byKey = Map.groupBy(reading.records, record => record.key)
      assert.equal(byKey.size, 20)
      for (const records of byKey.values()) {
        assert.equal(new Set(records.map(record => record.partition)).size, 1)
        const numbers = texts(records).map(Number)
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        )
      }
    })

    test('each append is called back once, in the order of the calls, never within the call', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const called: number[] = []
      const offsets: number[] = []
      for (let i = 0; i < 500; i++) {
        writer.append(message('k', `${i}`), (fault, offset) => {
          assert.equal(fault, null)
          called.push(i)
          offsets.push(offset)
        })
        assert.ok(!called.includes(i))
        if (i % 50 === 49) await new Promise(setImmediate)
      }
      await writer.flush()
      assert.deepEqual(
        called,
        Array.from({ length: 500 }, (_, i) => i),
      )
      assert.equal(new Set(offsets).size, 500)
    })

    test('the backlog counts what was not called back yet', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      assert.deepEqual(writer.backlog(), { records: 0, ageMs: 0 })
      writer.append(message('k', 'a'))
      writer.append(message('k', 'b'))
      assert.equal(writer.backlog().records, 2)
      await writer.flush()
      assert.deepEqual(writer.backlog(), { records: 0, ageMs: 0 })
    })

    test('bounds are the first readable offset and the one after the last', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const at = { topic: topic.name, partition: 0 }
      assert.deepEqual(await log.bounds(at), { earliest: 0, end: 0 })
      const writer = await log.writer(topic.name)
      const offsets = await appendAll(writer, [message('k', 'a'), message('k', 'b'), message('k', 'c')])
      await writer.flush()
      assert.deepEqual(await log.bounds(at), { earliest: offsets[0], end: offsets[2]! + 1 })
      assert.deepEqual(await log.partitions(topic.name), [0])
    })

    test('ensure makes what is missing, and says what differs without changing it', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const other = await freshTopic(log, { cleanup: 'compact', retentionMs: -1 })
      assert.deepEqual(await log.ensure([topic, other]), [])
      const wanted = { ...topic, retentionMs: topic.retentionMs * 2 }
      for (let i = 0; i < 2; i++) {
        const differences = await log.ensure([wanted, other])
        assert.equal(differences.length, 1)
        assert.ok(differences[0]!.includes(topic.name))
      }
      assert.deepEqual(await log.ensure([topic]), [])
      assert.equal((await log.ensure([{ ...other, cleanup: 'delete' }])).length, 1)
    })

    test('closing a writer flushes it, and the topic can be written again', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const first = await log.writer(topic.name)
      let called = 0
      for (let i = 0; i < 100; i++) first.append(message('k', `${i}`), fault => void (fault === null && called++))
      await first.close()
      assert.equal(called, 100)
      const second = await log.writer(topic.name)
      await append(second, message('k', 'again'))
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.count(101)
      assert.equal((await reading.end()).at(-1), 'again')
    })

    test('an append to a closed writer is called back with a fault', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      await writer.close()
      await assert.rejects(append(writer, message('k', 'late')), { name: 'Fault' })
    })

    test('closing the log flushes its writers; another log reads it all', async t => {
      const reopen = bench.reopen()
      if (reopen === undefined) return t.skip('this log cannot be opened again')
      const log = await reopen()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      let called = 0
      const sent = Array.from({ length: 1_000 }, (_, i) => `${i}`)
      for (const text of sent) writer.append(message('k', text), fault => void (fault === null && called++))
      await log.close()
      assert.equal(called, sent.length)
      const reading = new Reading(bench.log(), topic.name, 'earliest')
      await reading.count(sent.length)
      assert.deepEqual(await reading.end(), sent)
    })
  })
}
