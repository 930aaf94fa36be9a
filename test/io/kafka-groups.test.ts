import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Consumer, EventLog, LogRecord, Mark, Partition } from '../../services/io/log/port.ts'
import { broker, type TestKafka } from '../support/broker.ts'
import { append, freshTopic, logOn, message, until } from '../support/kafka.ts'

test('groups on a real Kafka', { concurrency: 2 }, async t => {
  const kafka = await broker(t)
  if (!kafka) return

  await t.test(
    'a rebalance: no partition is worked on by two, none is left out, no record is lost or done twice',
    async t => {
      const log = logOn(kafka)
      const topic = await freshTopic(log, { partitions: 4 })
      const writer = await log.writer(topic)
      const busy = new Map<number, string>() // who is at a partition, from `assigned` to the end of `revoked`
      const done = new Map<string, number>()
      const clashes: string[] = []
      const member = (name: string) => {
        const own = logOn(kafka, { clientId: name, heartbeatMs: 300 })
        return new Member(own, `group-${topic}`, [topic], {
          assigned: ({ partition }) => {
            const other = busy.get(partition)
            if (other) clashes.push(`${name} was given ${partition} while ${other} had it`)
            busy.set(partition, name)
          },
          work: async ({ partition }, records) => {
            await new Promise(resolve => setTimeout(resolve, 20)) // long enough for a rebalance to fall into it
            if (busy.get(partition) !== name) clashes.push(`${name} worked on ${partition} without having it`)
            for (const { value } of records) done.set(value.toString(), (done.get(value.toString()) ?? 0) + 1)
          },
          revoked: async ({ partition }) => {
            await new Promise(resolve => setTimeout(resolve, 100))
            busy.delete(partition)
          },
        })
      }
      let sent = 0
      const feed = setInterval(() => writer.append(message(`key-${sent % 40}`, `${sent++}`)), 2)
      t.after(() => clearInterval(feed))
      const first = member('member-1')
      await until('all partitions with the first', () => first.owned.size === 4 && done.size > 100)
      const since = performance.now()
      const second = member('member-2')
      await until('half of them with the second', () => first.owned.size === 2 && second.owned.size === 2)
      const sharedMs = performance.now() - since
      const before = second.records
      await until('work of the second', () => second.records > before + 50)
      const leaving = performance.now()
      await first.end()
      await until('all with the second', () => second.owned.size === 4)
      const takenMs = performance.now() - leaving
      clearInterval(feed)
      await writer.flush()
      await until('all of them done', () => done.size === sent)
      await second.end()
      t.diagnostic(
        `shared ${sharedMs.toFixed()} ms after the second came, all its own ${takenMs.toFixed()} ms after the first left`,
      )
      assert.deepEqual(clashes, [])
      assert.deepEqual(
        [...done.values()].filter(times => times !== 1),
        [],
      )
    },
  )

  await t.test('a member that lost its partition cannot commit on it, whatever it believes', async () => {
    const topic = await freshTopic(logOn(kafka))
    const group = `group-${topic}`
    const at = { topic, partition: 0 }
    const [mine, other] = [logOn(kafka, { clientId: 'b' }), logOn(kafka, { clientId: 'a', heartbeatMs: 200 })]
    const writer = await mine.writer(topic)
    for (let i = 0; i < 5; i++) writer.append(message('k', `${i}`))
    const old = new Member(mine, group, [topic])
    await until('the records', () => old.records === 5)
    await mine.commit(group, at, { offset: 5, note: 'mine' })
    const next = new Member(other, group, [topic]) // its name sorts before: the one partition goes to it
    await until('the partition with the other', () => next.owned.size === 1)
    await assert.rejects(mine.commit(group, at, { offset: 1 }), { code: 'log_fenced', retriable: false })
    await assert.rejects(logOn(kafka).commit(group, at, { offset: 2 }), { code: 'log_fenced' })
    assert.deepEqual(await other.committed(group, at), { offset: 5, note: 'mine' })
    await other.commit(group, at, { offset: 4 })
    assert.deepEqual(await mine.committed(group, at), { offset: 4 })
    await Promise.all([old.end(), next.end()])
  })

  await t.test('letting go may still commit: the mark is in place for the next member', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log)
    const group = `group-${topic}`
    const first = new Member(log, group, [topic], {
      revoked: at => log.commit(group, at, { offset: 0, note: 'on leaving' }),
    })
    await until('the partition', () => first.owned.size === 1)
    await first.end()
    const second = new Member(log, group, [topic])
    await until('the partition', () => second.owned.size === 1)
    assert.deepEqual(second.marks, [{ offset: 0, note: 'on leaving' }])
    await second.end()
  })

  // These two wait for a session each, so they wait together.
  const long = t.test('a batch longer than the session does not cost the partition', async () => {
    const log = logOn(kafka, { sessionMs: 6_000, heartbeatMs: 500 })
    const topic = await freshTopic(log)
    await append(await log.writer(topic), message('k', 'a'))
    const member = new Member(log, `group-${topic}`, [topic], {
      work: () => new Promise(resolve => setTimeout(resolve, 7_000)),
    })
    await until('the batch', () => member.records === 1)
    assert.equal(member.marks.length, 1)
    assert.deepEqual(await log.committed(`group-${topic}`, { topic, partition: 0 }), { offset: 1 })
    await member.end()
  })

  await t.test('a member killed without a word is replaced after its session, from its mark', async t => {
    const topic = await freshTopic(logOn(kafka))
    const group = `group-${topic}`
    const log = logOn(kafka, { sessionMs: 6_000, heartbeatMs: 500 })
    const writer = await log.writer(topic)
    for (const text of ['a', 'b', 'c']) await append(writer, message('k', text))
    await dieWithPartition(kafka, topic, group)
    const since = performance.now()
    const heir = new Member(log, group, [topic])
    await until('the partition', () => heir.owned.size === 1)
    t.diagnostic(
      `taken over ${(performance.now() - since).toFixed()} ms after the other was killed, its session being 6,000`,
    )
    await until('the rest', () => heir.records === 2)
    assert.deepEqual(heir.marks, [{ offset: 1, note: 'a' }])
    await heir.end()
  })

  await t.test(
    'a member killed without a word that comes back under its name goes on at once, from its mark',
    async t => {
      const topic = await freshTopic(logOn(kafka), { partitions: 2 })
      const group = `group-${topic}`
      const clientId = `comes-back-${topic}`
      const log = logOn(kafka, { clientId, keepsSeat: true, sessionMs: 6_000, heartbeatMs: 200 })
      const writer = await log.writer(topic)
      for (const text of ['a', 'b', 'c']) await append(writer, message('k', text))
      await dieWithPartition(kafka, topic, group, clientId, 'kept')
      const since = performance.now()
      const back = new Member(log, group, [topic])
      await until('the partitions', () => back.owned.size === 2)
      const tookMs = performance.now() - since
      t.diagnostic(`its own again after ${tookMs.toFixed()} ms, its session being 6,000`)
      assert.ok(tookMs < 4_000, `${tookMs} ms`)
      await until('the rest', () => back.records === 2)

      // It is a member like any other: it shares with who comes, and what it lets go of goes to the others.
      const other = new Member(logOn(kafka, { heartbeatMs: 200 }), group, [topic])
      await until('a share', () => back.owned.size === 1 && other.owned.size === 1)
      await back.end()
      await until('all of it', () => other.owned.size === 2, 4_000)
      await other.end()
    },
  )
  await t.test('two that go by one name share all the same', async () => {
    const topic = await freshTopic(logOn(kafka), { partitions: 2 })
    const group = `group-${topic}`
    const options = { clientId: `twice-${topic}`, keepsSeat: true, heartbeatMs: 200 }
    const first = new Member(logOn(kafka, options), group, [topic])
    await until('all of it with the first', () => first.owned.size === 2)
    const second = new Member(logOn(kafka, options), group, [topic])
    await until('one for each', () => first.owned.size === 1 && second.owned.size === 1)
    await Promise.all([first.end(), second.end()])
  })
  await long
})

/** Another process joins the group, commits its first record, and is killed. */
async function dieWithPartition(kafka: TestKafka, ...about: readonly string[]): Promise<void> {
  const { spawn } = await import('node:child_process')
  const { once } = await import('node:events')
  const script = new URL('../support/kafka-member.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [script, kafka.brokers.join(), ...about], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
}

type Behaviour = {
  readonly assigned?: (at: Partition) => void
  readonly work?: (at: Partition, records: readonly LogRecord[]) => Promise<void>
  readonly revoked?: (at: Partition) => Promise<void>
}

/** A member that starts at its mark and commits after each batch. */
class Member {
  readonly owned = new Set<number>()
  readonly marks: (Mark | null)[] = []
  records = 0
  readonly #consumer: Consumer

  constructor(log: EventLog, group: string, topics: readonly string[], behaviour: Behaviour = {}) {
    this.#consumer = log.consume(group, topics, {
      assigned: (at, mark) => {
        behaviour.assigned?.(at)
        this.owned.add(at.partition)
        this.marks.push(mark)
        return mark?.offset ?? 0
      },
      onBatch: async batch => {
        await behaviour.work?.(batch, batch.records)
        await log.commit(group, batch, { offset: batch.records.at(-1)!.offset + 1 })
        this.records += batch.records.length
      },
      revoked: async at => {
        await behaviour.revoked?.(at)
        this.owned.delete(at.partition)
      },
    })
  }

  async end(): Promise<void> {
    await this.#consumer.close()
    await this.#consumer.ended
  }
}
