import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { test } from 'node:test'
import { openClient } from '../../services/io/log/kafka/client.ts'
import type { Batch } from '../../services/io/log/port.ts'
import { broker, silent } from '../support/broker.ts'
import { append, freshTopic, listening, logOn, message, percentile, until } from '../support/kafka.ts'

test('following a real Kafka', async t => {
  const kafka = await broker(t)
  if (!kafka) return

  await t.test('a control record reaches its readers within milliseconds', async t => {
    const [writing, reading] = [logOn(kafka), logOn(kafka)]
    const topic = await freshTopic(writing, { cleanup: 'compact', retentionMs: -1 })
    const writer = await writing.writer(topic)
    const arrived = new Map<string, number>()
    const onBatch = ({ records }: Batch) => {
      for (const { headers } of records) arrived.set(headers['id'] ?? '', performance.now())
    }
    const started = performance.now()
    const follower = reading.follow(topic, { from: 'earliest', onBatch })
    await follower.caughtUp
    const caughtUpMs = performance.now() - started
    const latencies: number[] = []
    for (let i = 0; i < 500; i++) {
      const id = `${i}`
      const sent = performance.now()
      writer.append(message('scope', Buffer.alloc(300), { id }))
      await until('the record', () => arrived.has(id), 5_000, 0)
      if (i >= 100) latencies.push((arrived.get(id) ?? 0) - sent) // after the code has warmed up
    }
    await follower.close()
    const [p50, p99] = [percentile(latencies, 0.5), percentile(latencies, 0.99)]
    t.diagnostic(`append to onBatch over 400 records: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    t.diagnostic(`a follower of an empty topic was caught up after ${caughtUpMs.toFixed()} ms`)
    assert.ok(p50 < 10, `p50 ${p50}`) // the tail is the machine's: it is printed, and measured on an idle one
  })

  await t.test('a follower starts without a group, so without the seconds a group takes', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log, { partitions: 12 })
    const follower = log.follow(topic, { from: 'earliest', onBatch: () => {} })
    await follower.caughtUp
    const client = openClient({ brokers: kafka.brokers, clientId: 'test', log: silent })
    const admin = client.kafka.admin()
    await admin.connect()
    const { groups } = await admin.listGroups()
    client.cut()
    await follower.close()
    assert.deepEqual(
      groups.filter(({ groupId }) => groupId.includes(topic)),
      [],
    )
  })

  await t.test('throughput from the beginning, over twelve partitions', async t => {
    const log = logOn(kafka)
    const topic = await freshTopic(log, { partitions: 12 })
    const writer = await log.writer(topic)
    const count = 20_000
    const value = Buffer.alloc(1_300, 'x')
    const since = performance.now()
    const acknowledged = Array.from({ length: count }, (_, i) => append(writer, message(`key-${i % 300}`, value)))
    await Promise.all(acknowledged)
    const wroteMs = performance.now() - since
    let read = 0
    const started = performance.now()
    const follower = log.follow(topic, {
      from: 'earliest',
      onBatch: ({ records }) => {
        read += records.length
      },
    })
    await follower.caughtUp
    const readMs = performance.now() - started
    await follower.close()
    const rate = (ms: number) => Math.round(count / (ms / 1_000)).toLocaleString('en')
    t.diagnostic(`records of 1.3 KB: ${rate(wroteMs)}/s written and acknowledged, ${rate(readMs)}/s read`)
    assert.equal(read, count)
  })

  await t.test('positions name partitions; the others start at their earliest', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log, { partitions: 2 })
    const writer = await log.writer(topic)
    for (let i = 0; i < 40; i++) writer.append(message(`key-${i}`, `${i}`))
    await writer.flush()
    const bounds = await Promise.all([0, 1].map(partition => log.bounds({ topic, partition })))
    const ends = bounds.map(({ end }) => end)
    const first = new Map<number, number>()
    const follower = log.follow(topic, {
      from: [{ topic, partition: 1, offset: 5 }],
      onBatch: ({ partition, records }) => {
        if (!first.has(partition)) first.set(partition, records[0]!.offset)
      },
    })
    await follower.caughtUp
    await follower.close()
    assert.ok(ends.every(end => end > 5))
    assert.deepEqual([first.get(0), first.get(1)], [0, 5])
  })

  await t.test('records deleted before they were read are a hole that is told, not an end', async () => {
    const lines: string[] = []
    const log = logOn(kafka, { log: listening(lines) })
    const topic = await freshTopic(log)
    const writer = await log.writer(topic)
    const gate = Promise.withResolvers<void>()
    const seen: number[] = []
    const value = Buffer.alloc(200_000)
    for (let i = 0; i < 10; i++) await append(writer, message('k', value)) // two fetches and more
    const follower = log.follow(topic, {
      from: 'earliest',
      onBatch: async ({ records }) => {
        seen.push(...records.map(({ offset }) => offset))
        await gate.promise
      },
    })
    await until('a batch', () => seen.length > 0)
    const client = openClient({ brokers: kafka.brokers, clientId: 'test', log: silent })
    const admin = client.kafka.admin()
    await admin.connect()
    await admin.fetchTopicMetadata({ topics: [topic] })
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '9' }] })
    client.cut()
    assert.ok(seen.length < 9, `the first batch had all ${seen.length}`)
    gate.resolve()
    await follower.caughtUp
    await follower.close()
    assert.equal(seen.at(-1), 9)
    assert.ok(!seen.includes(8))
    assert.equal((await log.bounds({ topic, partition: 0 })).earliest, 9)
    assert.ok(lines.some(line => line.includes('deleted before they were read')))
  })

  await t.test('a position beyond the end is not waited for: the log is not the one it was', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log)
    const follower = log.follow(topic, { from: [{ topic, partition: 0, offset: 7 }], onBatch: () => {} })
    await assert.rejects(follower.ended, { code: 'log_truncated' })
  })

  await t.test('a topic that is not there is a fault at once, for readers and writers', async () => {
    const log = logOn(kafka)
    const topic = 'test.nobody-made-this'
    const worker = { assigned: () => 0, onBatch: async () => {}, revoked: () => {} }
    const all = [
      log.writer(topic),
      log.partitions(topic),
      log.follow(topic, { from: 'latest', onBatch: () => {} }).ended,
      log.consume('test.group', [topic], worker).ended,
    ]
    await Promise.all(all.map(one => assert.rejects(one, { code: 'topic_unknown' })))
    const there = await freshTopic(log)
    assert.deepEqual(await log.partitions(there), [0])
  })

  await t.test(
    'an idle log is idle: its connections set no timers over and over, and Node has nothing to warn of',
    async () => {
      const warnings: string[] = []
      const hear = (warning: Error) => warnings.push(warning.name)
      process.on('warning', hear)
      const log = logOn(kafka)
      const topic = await freshTopic(log)
      const follower = log.follow(topic, { from: 'earliest', onBatch: () => {} })
      await follower.caughtUp
      let timers = 0
      const hook = createHook({
        init: (_, type) => {
          if (type === 'Timeout') timers++
        },
      }).enable()
      await new Promise(resolve => setTimeout(resolve, 1_000))
      hook.disable()
      await follower.close()
      process.off('warning', hear)
      assert.deepEqual(warnings, [])
      assert.ok(timers < 100, `${timers} timers in a second`)
    },
  )
})
