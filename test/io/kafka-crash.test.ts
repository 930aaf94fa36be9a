import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Batch } from '../../services/io/log/port.ts'
import { broker } from '../support/broker.ts'
import { append, freshTopic, listening, logOn, message, until } from '../support/kafka.ts'

test('a real Kafka, killed and stopped', async t => {
  const kafka = await broker(t, { own: true })
  if (!kafka) return

  await t.test('kill -9 three times under load: nothing lost, nothing twice, every key in order', async t => {
    const log = logOn(kafka, { answerMs: 60_000 })
    const topic = await freshTopic(log, { partitions: 6 })
    const group = `group-${topic}`
    const writer = await log.writer(topic)
    const following = new Tally()
    const follower = log.follow(topic, { from: 'earliest', onBatch: batch => following.add(batch) })
    await follower.caughtUp
    const consuming = new Tally()
    const consumer = log.consume(group, [topic], {
      assigned: (_, mark) => mark?.offset ?? 0,
      onBatch: async batch => {
        consuming.add(batch)
        await log.commit(group, batch, { offset: batch.records.at(-1)!.offset + 1 })
      },
      revoked: () => {},
    })
    let sent = 0
    let acknowledged = 0
    let refused = 0
    const value = Buffer.alloc(1_300, 'x')
    const feed = setInterval(() => {
      for (let i = 0; i < 10; i++) {
        const id = String(sent++)
        writer.append(message(`key-${sent % 50}`, value, { id }), fault => {
          if (fault) refused++
          else acknowledged++
        })
      }
    }, 10)
    t.after(() => clearInterval(feed))

    const noticed: string[] = []
    for (let kill = 0; kill < 3; kill++) {
      const goal = acknowledged + 500
      await until('five hundred more', () => acknowledged >= goal)
      await kafka.kill9()
      await until('the writer is in trouble', () => writer.backlog().ageMs > 100)
      await kafka.start()
      const back = performance.now()
      const [written, followed, consumed] = [acknowledged, following.records, consuming.records]
      const since = () => (performance.now() - back).toFixed()
      await until('an acknowledgement', () => acknowledged > written)
      const writingMs = since()
      await until('a record', () => following.records > followed)
      const followingMs = since()
      await until('a record in the group', () => consuming.records > consumed)
      noticed.push(`writing ${writingMs} ms, following ${followingMs} ms, consuming ${since()} ms`)
      assert.ok(performance.now() - back < 2_500, 'the broker that was back went unnoticed')
    }
    clearInterval(feed)
    await writer.flush()
    await until('all records', () => following.ids.size >= acknowledged && consuming.ids.size >= acknowledged)
    await Promise.all([follower.close(), consumer.close()])
    await Promise.all([follower.ended, consumer.ended])
    t.diagnostic(`after the broker was ready again: ${noticed.join('; ')}`)
    t.diagnostic(`sent ${sent}, refused ${refused}, read ${following.records}, in the group ${consuming.records}`)
    const all = { unique: sent, records: sent, outOfOrder: 0 }
    assert.deepEqual([following.sum(), consuming.sum(), refused], [all, all, 0])
  })

  await t.test('while Kafka is away the queue fills and then refuses at once; all that was taken arrives', async t => {
    const log = logOn(kafka, { maxQueueRecords: 200, answerMs: 500 })
    const topic = await freshTopic(log)
    const writer = await log.writer(topic)
    await append(writer, message('k', 'before'))
    await kafka.stop()
    const taken: string[] = ['before']
    const outcomes: Promise<void>[] = []
    let refused = 0
    const take = (text: string) => {
      taken.push(text)
    }
    const refuse = (fault: { readonly code: string; readonly retriable: boolean }) => {
      assert.deepEqual({ code: fault.code, retriable: fault.retriable }, { code: 'log_unavailable', retriable: true })
      refused++
    }
    for (let i = 0; i < 250; i++) {
      const text = `${i}`
      outcomes.push(append(writer, message('k', text)).then(() => take(text), refuse))
    }
    await until('the refusals', () => refused === 50, 500)
    assert.equal(writer.backlog().records, 200)
    writer.append(message('k', 'larger'), fault => refuse(fault!))
    const overtaking = append(writer, message('k', '')) // behind a refused one, in the same turn
    await assert.rejects(overtaking, { code: 'log_unavailable' })
    await assert.rejects(log.committed('nobody', { topic, partition: 0 }), { code: 'log_unavailable' })
    await kafka.start()
    const back = performance.now()
    await Promise.all(outcomes)
    t.diagnostic(
      `200 queued records were acknowledged ${(performance.now() - back).toFixed()} ms after Kafka was ready`,
    )
    const read: string[] = []
    const onBatch = ({ records }: Batch) => void read.push(...records.map(({ value }) => value.toString()))
    const follower = log.follow(topic, { from: 'earliest', onBatch })
    await follower.caughtUp
    await follower.close()
    assert.deepEqual(read, ['before', ...Array.from({ length: 200 }, (_, i) => `${i}`)])
    assert.deepEqual(taken, read)
  })

  await t.test(
    'with Kafka away everything closes within five seconds, says what was not sent, and goes on as soon as Kafka is back',
    async t => {
      const lines: string[] = []
      const own = { clientId: 'comes-back', keepsSeat: true }
      const log = logOn(kafka, { ...own, log: listening(lines) })
      const topic = await freshTopic(log)
      const writer = await log.writer(topic)
      await append(writer, message('k', 'a'))
      const follower = log.follow(topic, { from: 'earliest', onBatch: () => {} })
      await follower.caughtUp
      let batches = 0
      const onBatch = async () => {
        batches++
      }
      const consumer = log.consume(`group-${topic}`, [topic], { assigned: () => 0, onBatch, revoked: () => {} })
      await until('a batch', () => batches > 0)
      await kafka.kill9()
      const outcome = assert.rejects(append(writer, message('k', 'b')), { code: 'log_unavailable' })
      const since = performance.now()
      await log.close()
      const tookMs = performance.now() - since
      t.diagnostic(`closed in ${tookMs.toFixed()} ms`)
      assert.ok(tookMs < 6_000, `it took ${tookMs} ms`)
      await Promise.all([outcome, follower.ended, consumer.ended])
      assert.ok(lines.some(line => line.includes('not acknowledged') && line.includes('"records":1')))

      // Nobody could tell the group that it left: the session of the one before is not waited for.
      await kafka.start()
      const back = performance.now()
      let isMine = false
      logOn(kafka, own).consume(`group-${topic}`, [topic], {
        assigned: () => {
          isMine = true
          return 0
        },
        onBatch,
        revoked: () => {},
      })
      await until('its partition', () => isMine)
      const againMs = performance.now() - back
      t.diagnostic(`its own again ${againMs.toFixed()} ms after Kafka was ready`)
      assert.ok(againMs < 5_000, `it took ${againMs} ms`)
    },
  )
})

/** What a reader saw: every id, how often, and whether a key ever went back. */
class Tally {
  readonly ids = new Set<string>()
  records = 0
  #outOfOrder = 0
  readonly #last = new Map<string | null, number>()

  add({ records }: Batch): void {
    for (const { key, headers } of records) {
      const id = headers['id'] ?? ''
      this.ids.add(id)
      this.records++
      if (Number(id) < (this.#last.get(key) ?? -1)) this.#outOfOrder++
      this.#last.set(key, Number(id))
    }
  }

  sum() {
    return { unique: this.ids.size, records: this.records, outOfOrder: this.#outOfOrder }
  }
}
