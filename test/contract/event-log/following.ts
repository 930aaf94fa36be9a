import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { append, appendAll, type Bench, Condition, freshTopic, message, Reading, texts } from './probe.ts'

export function followingContract(bench: Bench): void {
  describe('following', () => {
    test('from the earliest: what is there, then what comes', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      await appendAll(writer, [message('k', 'a'), message('k', 'b')])
      await writer.flush()
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.follower.caughtUp
      assert.deepEqual(texts(reading.records), ['a', 'b'])
      for (const text of ['c', 'd', 'e']) {
        // Counted before: a record may be delivered ahead of its acknowledgement.
        const more = reading.records.length + 1
        await append(writer, message('k', text))
        await reading.count(more)
      }
      assert.deepEqual(await reading.end(), ['a', 'b', 'c', 'd', 'e'])
    })

    test('whoever keeps nothing may have each batch in the memory of the one before, and is told all the same', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const said = Array.from({ length: 1_500 }, (_, i) => `${i} ${'x'.repeat(i)}`)
      const heard: string[] = []
      const more = new Condition()
      const follower = log.follow(topic.name, {
        from: 'earliest',
        overwritten: true,
        async onBatch({ records }) {
          await new Promise(setImmediate)
          heard.push(...texts(records))
          more.changed()
        },
      })
      await appendAll(
        writer,
        said.map(text => message('k', text)),
      )
      await writer.flush()
      await more.until('all of it', () => heard.length >= said.length)
      await follower.close()
      assert.deepEqual(heard, said)
    })

    test('from the latest: only what comes', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      await append(writer, message('k', 'before'))
      await writer.flush()
      const reading = new Reading(log, topic.name, 'latest')
      await reading.follower.caughtUp
      assert.deepEqual(reading.records, [])
      await append(writer, message('k', 'after'))
      await reading.count(1)
      assert.deepEqual(await reading.end(), ['after'])
    })

    test('from named positions: that offset is the first', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const offsets = await appendAll(
        writer,
        Array.from({ length: 200 }, (_, i) => message('k', `${i}`)),
      )
      await writer.flush()
      for (const i of [0, 1, 137, 199]) {
        const reading = new Reading(log, topic.name, [{ topic: topic.name, partition: 0, offset: offsets[i]! }])
        await reading.follower.caughtUp
        assert.equal(reading.records.length, 200 - i)
        assert.equal((await reading.end())[0], `${i}`)
      }
      const end = offsets.at(-1)! + 1
      const atEnd = new Reading(log, topic.name, [{ topic: topic.name, partition: 0, offset: end }])
      await atEnd.follower.caughtUp
      await append(writer, message('k', 'next'))
      await atEnd.count(1)
      assert.deepEqual(await atEnd.end(), ['next'])
      const unnamed = new Reading(log, topic.name, [])
      await unnamed.follower.caughtUp
      assert.equal((await unnamed.end())[0], '0')
    })

    test('of the partitions only those that were named', async () => {
      const log = bench.log()
      const topic = await freshTopic(log, { partitions: 3 })
      const writer = await log.writer(topic.name)
      for (let i = 0; i < 60; i++) writer.append(message(`key-${i}`, `${i}`))
      await writer.flush()
      const all = new Reading(log, topic.name, 'earliest')
      await all.follower.caughtUp
      await all.end()
      assert.equal(all.records.length, 60)
      for (const partitions of [[0], [1, 2], []]) {
        const some = new Reading(log, topic.name, 'earliest', partitions)
        await some.follower.caughtUp
        await some.end()
        const wanted = all.records.filter(record => partitions.includes(record.partition))
        assert.deepEqual(texts(some.records).toSorted(), texts(wanted).toSorted())
      }
    })

    test('an empty topic is caught up at once', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.follower.caughtUp
      assert.deepEqual(await reading.end(), [])
    })

    test('two followers both get everything, and nothing of other topics', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const other = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const otherWriter = await log.writer(other.name)
      const readings = [new Reading(log, topic.name, 'earliest'), new Reading(log, topic.name, 'earliest')]
      for (let i = 0; i < 20; i++) {
        await Promise.all([append(writer, message('k', `${i}`)), append(otherWriter, message('k', 'other'))])
      }
      for (const reading of readings) {
        await reading.count(20)
        assert.deepEqual(
          await reading.end(),
          Array.from({ length: 20 }, (_, i) => `${i}`),
        )
      }
    })

    test('the next batch waits for the promise of the one before', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const state = new Condition()
      const gate = Promise.withResolvers<void>()
      let running = 0
      let most = 0
      const seen: string[] = []
      const follower = log.follow(topic.name, {
        from: 'earliest',
        onBatch: async batch => {
          running++
          most = Math.max(most, running)
          seen.push(...texts(batch.records))
          state.changed()
          await gate.promise
          running--
        },
      })
      await append(writer, message('k', '0'))
      await state.until('the first batch', () => seen.length > 0)
      for (let i = 1; i < 50; i++) await append(writer, message('k', `${i}`))
      await writer.flush()
      const before = seen.length
      assert.equal(most, 1)
      assert.ok(before < 50)
      gate.resolve()
      await state.until('all the others', () => seen.length === 50)
      assert.equal(most, 1)
      await follower.close()
    })

    test('a throw ends that follower with what was thrown, and no other', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      await append(writer, message('k', 'a'))
      await writer.flush()
      for (const onBatch of [
        () => {
          throw new Error('not today')
        },
        () => Promise.reject(new Error('not today')),
      ]) {
        const healthy = new Reading(log, topic.name, 'earliest')
        const broken = log.follow(topic.name, { from: 'earliest', onBatch })
        await Promise.all([
          assert.rejects(broken.ended, /not today/),
          assert.rejects(broken.caughtUp, 'it ended before it had caught up'),
        ])
        await broken.close()
        const sofar = healthy.records.length
        await append(writer, message('k', 'b'))
        await healthy.count(sofar + 1)
        await healthy.end()
      }
    })

    test('after close has resolved nothing is delivered any more', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const writer = await log.writer(topic.name)
      const closed = new Reading(log, topic.name, 'earliest')
      const open = new Reading(log, topic.name, 'earliest')
      await append(writer, message('k', 'a'))
      await Promise.all([closed.count(1), open.count(1)])
      await closed.end()
      await append(writer, message('k', 'b'))
      await open.count(2)
      await open.end()
      assert.deepEqual(texts(closed.records), ['a'])
    })

    test('what another log writes is seen here', async t => {
      const reopen = bench.reopen()
      if (reopen === undefined) return t.skip('this log cannot be opened again')
      const log = bench.log()
      const topic = await freshTopic(log)
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.follower.caughtUp
      const other = await reopen()
      const writer = await other.writer(topic.name)
      await appendAll(writer, [message('k', 'a'), message('k', 'b')])
      await reading.count(2)
      await other.close()
      assert.deepEqual(await reading.end(), ['a', 'b'])
    })

    test('closing the log ends its followers', async t => {
      const reopen = bench.reopen()
      if (reopen === undefined) return t.skip('this log cannot be opened again')
      const log = await reopen()
      const topic = await freshTopic(log)
      const reading = new Reading(log, topic.name, 'earliest')
      await reading.follower.caughtUp
      await log.close()
      await reading.follower.ended
    })
  })
}
