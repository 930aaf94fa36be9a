import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { append, appendAll, type Bench, freshTopic, Member, message, texts } from './probe.ts'

export function sharingContract(bench: Bench): void {
  describe('sharing', () => {
    test('a group begins without a mark, and after a close goes on at its mark', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const group = `group-${topic.name}`
      const at = { topic: topic.name, partition: 0 }
      const writer = await log.writer(topic.name)
      await appendAll(writer, [message('k', 'a'), message('k', 'b')])

      const first = new Member(log, group, [topic.name])
      await first.until('two records', () => first.records.length === 2)
      await first.end()
      assert.deepEqual(first.assigned, [{ ...at, mark: null }])
      assert.deepEqual(first.revoked, [at])

      await append(writer, message('k', 'c'))
      const second = new Member(log, group, [topic.name])
      await second.until('one record', () => second.records.length >= 1)
      await second.end()
      assert.deepEqual(texts(second.records), ['c'])
      assert.deepEqual(second.assigned[0]?.mark, { offset: first.records[1]!.offset + 1, note: 'after b' })
      assert.deepEqual(await log.committed(group, at), { offset: second.records[0]!.offset + 1, note: 'after c' })
    })

    test('reading starts where the worker says, not at the mark', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const group = `group-${topic.name}`
      const writer = await log.writer(topic.name)
      const offsets = await appendAll(
        writer,
        Array.from({ length: 10 }, (_, i) => message('k', `${i}`)),
      )
      await log.commit(group, { topic: topic.name, partition: 0 }, { offset: offsets[8]! })
      const member = new Member(log, group, [topic.name], {
        start: mark => {
          assert.equal(mark?.offset, offsets[8])
          return offsets[3]!
        },
      })
      await member.until('seven records', () => member.records.length >= 7)
      await member.end()
      assert.deepEqual(texts(member.records), ['3', '4', '5', '6', '7', '8', '9'])
    })

    test('one consumer takes several topics, and tells them apart', async () => {
      const log = bench.log()
      const topics = [await freshTopic(log), await freshTopic(log)]
      const group = `group-${topics[0]!.name}`
      for (const topic of topics) await append(await log.writer(topic.name), message('k', topic.name))
      const member = new Member(
        log,
        group,
        topics.map(topic => topic.name),
        {
          onBatch: async batch => {
            for (const record of batch.records) assert.equal(record.value.toString(), batch.topic)
          },
        },
      )
      await member.until('both topics', () => member.records.length >= 2)
      await member.end()
      assert.deepEqual(member.assigned.map(one => one.topic).toSorted(), topics.map(one => one.name).toSorted())
    })

    test('a second member of a group takes over at the mark when the first is gone', async t => {
      const reopen = bench.reopen()
      if (reopen === undefined) return t.skip('this log cannot be opened again')
      const log = bench.log()
      const topic = await freshTopic(log)
      const group = `group-${topic.name}`
      const writer = await log.writer(topic.name)
      await append(writer, message('k', '0'))
      let working = 0
      const onBatch = async () => {
        assert.equal(++working, 1, 'two members had the partition at one time')
        await new Promise(setImmediate)
        working--
      }
      const first = new Member(log, group, [topic.name], { onBatch })
      await first.until('a record', () => first.records.length >= 1)
      const other = await reopen()
      const second = new Member(other, group, [topic.name], { onBatch })
      for (let i = 1; i < 20; i++) await append(writer, message('k', `${i}`))
      await first.end()
      await append(writer, message('k', 'last'))
      await second.until('the last record', () => texts(second.records).includes('last'))
      await second.end()
      await other.close()
      assert.deepEqual(texts([...first.records, ...second.records]), [
        ...Array.from({ length: 20 }, (_, i) => `${i}`),
        'last',
      ])
    })

    test('groups do not share marks', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const at = { topic: topic.name, partition: 0 }
      assert.equal(await log.committed(`none-${topic.name}`, at), null)
      await log.commit(`a-${topic.name}`, at, { offset: 3 })
      await log.commit(`b-${topic.name}`, at, { offset: 5, note: '' })
      assert.equal((await log.committed(`a-${topic.name}`, at))?.offset, 3)
      assert.equal((await log.committed(`b-${topic.name}`, at))?.offset, 5)
    })

    test('the last commit stands, with its note, in a log opened later', async t => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const group = `group-${topic.name}`
      const at = { topic: topic.name, partition: 0 }
      const note = JSON.stringify({ from: 4, to: 9, text: '"\\\n' }).padEnd(4_096, '.')
      await Promise.all([
        log.commit(group, at, { offset: 1, note: 'x' }),
        log.commit(group, at, { offset: 2 }),
        log.commit(group, at, { offset: 9, note }),
      ])
      assert.deepEqual(await log.committed(group, at), { offset: 9, note })
      await assert.rejects(log.commit(group, at, { offset: 10, note: `${note}.` }))
      assert.deepEqual(await log.committed(group, at), { offset: 9, note })
      const reopen = bench.reopen()
      if (reopen === undefined) return t.skip('this log cannot be opened again')
      const other = await reopen()
      assert.deepEqual(await other.committed(group, at), { offset: 9, note })
      await other.close()
    })

    test('a throw ends the consumer with what was thrown and leaves the mark', async () => {
      const log = bench.log()
      const topic = await freshTopic(log)
      const group = `group-${topic.name}`
      const at = { topic: topic.name, partition: 0 }
      await append(await log.writer(topic.name), message('k', 'a'))
      const broken = new Member(log, group, [topic.name], {
        onBatch: async () => {
          throw new Error('not today')
        },
      })
      await assert.rejects(broken.consumer.ended, /not today/)
      await broken.consumer.close()
      assert.equal(await log.committed(group, at), null)
      const healthy = new Member(log, group, [topic.name])
      await healthy.until('the record', () => healthy.records.length >= 1)
      await healthy.end()
    })
  })
}
