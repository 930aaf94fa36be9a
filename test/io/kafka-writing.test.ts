import assert from 'node:assert/strict'
import { test } from 'node:test'
import kafkajs, { type Producer as KafkaProducer, type Transaction } from 'kafkajs'
import { openClient } from '../../services/io/log/kafka/client.ts'
import { type Outgoing, Producer } from '../../services/io/log/kafka/producer.ts'
import { Session } from '../../services/io/log/kafka/session.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import type { EventLog, LogRecord } from '../../services/io/log/port.ts'
import { broker, silent } from '../support/broker.ts'
import { append, freshTopic, logOn, message } from '../support/kafka.ts'
import { until } from '../support/until.ts'

test('writing to a real Kafka', async t => {
  const kafka = await broker(t)
  if (!kafka) return
  const open = () => openClient({ brokers: kafka.brokers, clientId: 'test', log: silent })

  await t.test('a producer goes over the end of its sequence numbers without a fault', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log)
    const session = new Session(open, [topic], silent)
    const producer = new Producer(session, topic, silent, { firstSequence: 2 ** 31 - 7 })
    const sent: string[] = []
    for (let i = 0; i < 5; i++) {
      const records = Array.from({ length: 4 }, (_, j) => outgoing('k', `${i}-${j}`))
      await producer.send(records, AbortSignal.timeout(10_000))
      assert.deepEqual(
        records.map(({ outcome }) => outcome),
        records.map((_, j) => ({ fault: null, offset: i * 4 + j })),
      )
      sent.push(...records.map(({ message }) => String(message.value)))
    }
    session.close()
    assert.deepEqual(await readAll(log, topic), sent)
  })

  await t.test('connections cut in the middle of requests: everything arrives once and in order', async t => {
    const log = logOn(kafka)
    const topic = await freshTopic(log, { partitions: 3 })
    const session = new Session(open, [topic], silent)
    const producer = new Producer(session, topic, silent)
    const sent: string[] = []
    let cuts = 0
    for (let i = 0; i < 40; i++) {
      const records = Array.from({ length: 50 }, (_, j) => outgoing(`key-${j % 7}`, `${i * 50 + j}`))
      const sending = producer.send(records, AbortSignal.timeout(10_000))
      for (let turn = 0; turn < i % 8; turn++) await new Promise(setImmediate)
      if (i % 2 === 1) {
        session.reset()
        cuts++
      }
      await sending
      assert.ok(records.every(({ outcome }) => outcome?.fault === null))
      sent.push(...records.map(({ message }) => String(message.value)))
    }
    session.close()
    const read = await readAll(log, topic)
    t.diagnostic(`${cuts} cuts, ${sent.length} sent, ${read.length} read`)
    assert.deepEqual(
      read.toSorted((a, b) => Number(a) - Number(b)),
      sent,
    )
  })

  await t.test('a key goes where Kafka itself would put it; records without one are spread', async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log, { partitions: 5 })
    const writer = await log.writer(topic)
    for (let i = 0; i < 50; i++) writer.append(message(`key-${i}`, 'keyed'))
    for (let i = 0; i < 50; i++) writer.append(message(null, 'keyless'))
    await writer.flush()
    const keyless = new Set<number>()
    await readAll(log, topic, (record, partition) => {
      if (record.key === null) keyless.add(partition)
      else assert.equal(partition, partitionOf(record.key, 5))
    })
    assert.equal(keyless.size, 5)
  })

  await t.test(
    'a batch larger than its topic takes goes in parts; only the record that is too large is refused',
    async () => {
      const log = logOn(kafka)
      const topic = await freshTopic(log)
      await configure(topic, { 'max.message.bytes': '50000' })
      const writer = await log.writer(topic)
      const results: string[] = []
      const add = (name: string, bytes: number) =>
        append(writer, message('k', Buffer.alloc(bytes, name))).then(
          offset => void results.push(`${name}@${offset}`),
          fault => void results.push(`${name}: ${fault.code}`),
        )
      await Promise.all([add('a', 20_000), add('b', 20_000), add('c', 60_000), add('d', 20_000), add('e', 20_000)])
      await add('f', 17 << 20) // more than any log of ours takes: not even sent
      assert.deepEqual(results, ['a@0', 'b@1', 'c: log_refused', 'd@2', 'e@3', 'f: log_refused'])
      await append(writer, message('k', 'g'))
      assert.deepEqual(
        (await readAll(log, topic)).map(value => value[0]),
        ['a', 'b', 'd', 'e', 'g'],
      )
    },
  )

  await t.test(
    'what compaction takes away is a hole: the last record of each key is read, at its own offset',
    async () => {
      const log = logOn(kafka)
      const topic = await freshTopic(log, { cleanup: 'compact', retentionMs: -1 })
      await configure(topic, { 'cleanup.policy': 'compact', 'segment.ms': '100', 'min.cleanable.dirty.ratio': '0.01' })
      const writers = [await log.writer(topic), await log.writer(topic)]
      // Two producers: the batch of the first is emptied, yet kept for its sequence numbers.
      for (const [i, writer] of writers.entries()) {
        for (let key = 0; key < 20; key++) await append(writer, message(`key-${key}`, `${i}`))
      }
      const { end } = await log.bounds({ topic, partition: 0 })
      const offsets: number[] = []
      const began = performance.now()
      while (performance.now() - began < 20_000) {
        await append(writers[1]!, message('roll', `${performance.now()}`)) // a segment is only closed by a later record
        offsets.length = 0
        await readAll(log, topic, ({ key, offset }) => void (key === 'roll' || offsets.push(offset)))
        if (offsets.length === 20) break
        await new Promise(resolve => setTimeout(resolve, 200))
      }
      assert.deepEqual(
        offsets,
        Array.from({ length: 20 }, (_, i) => end - 20 + i),
      )
    },
  )

  await t.test(
    'topics are made with what promises hang on; what Kafka will not make is told with its name',
    async () => {
      const log = logOn(kafka)
      const topic = await freshTopic(log, { partitions: 2, cleanup: 'compact,delete', retentionMs: 3_600_000 })
      const client = open()
      const admin = client.kafka.admin({ retry: { retries: 5 } })
      await admin.connect()
      const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic }]
      const entries =
        (await admin.describeConfigs({ includeSynonyms: false, resources })).resources[0]?.configEntries ?? []
      client.cut()
      const value = (name: string) => entries.find(({ configName }) => configName === name)?.configValue
      assert.equal(value('cleanup.policy')?.split(',').sort().join(), 'compact,delete')
      assert.equal(value('retention.ms'), '3600000')
      assert.equal(value('segment.bytes'), '16777216')
      assert.ok(Number(value('max.message.bytes')) > 16 << 20)
      const wanted = { name: topic, partitions: 3, cleanup: 'delete', retentionMs: 1, key: '', holds: '' } as const
      const said = await log.ensure([wanted])
      assert.equal(said.length, 1)
      for (const part of [topic, '2 partitions, not 3', 'cleanup.policy', 'retention.ms 3600000, not 1']) {
        assert.ok(said[0]?.includes(part), `${part} in: ${said[0]}`)
      }
      await assert.rejects(log.ensure([{ ...wanted, name: 'no such:name' }]), {
        code: 'topic_refused',
        message: /no such:name/,
      })
    },
  )

  await t.test("the marks of a foreign producer's transaction do not hold a reader up", async () => {
    const log = logOn(kafka)
    const topic = await freshTopic(log)
    const client = open()
    const producer = client.kafka.producer({
      transactionalId: topic,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries: 20 },
      createPartitioner: () => () => 0,
    })
    await producer.connect()
    const transaction = await begin(producer)
    await transaction.send({ topic, messages: [{ key: 'k', value: 'in a transaction' }] })
    await transaction.commit()
    client.cut()
    // A commit is answered when its coordinator knows of it; the partitions get their marks a moment later.
    await until('the mark', async () => (await log.bounds({ topic, partition: 0 })).end === 2)
    assert.deepEqual(await readAll(log, topic), ['in a transaction'])
  })

  /** Replaces all settings of the topic. */
  async function configure(topic: string, settings: Readonly<Record<string, string>>): Promise<void> {
    const client = open()
    const admin = client.kafka.admin({ retry: { retries: 5 } })
    await admin.connect()
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
    const resources = [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries }]
    await admin.alterConfigs({ validateOnly: false, resources })
    client.cut()
  }

  /** The topic of transactions is made when the first is begun; until then there is no coordinator. */
  async function begin(producer: KafkaProducer): Promise<Transaction> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await producer.transaction()
      } catch (error) {
        if (attempt === 50) throw error
        await new Promise(resolve => setTimeout(resolve, 100))
      }
    }
  }
})

const outgoing = (key: string, value: string): Outgoing => ({ message: message(key, value), outcome: null })

async function readAll(
  log: EventLog,
  topic: string,
  look?: (record: LogRecord, partition: number) => void,
): Promise<string[]> {
  const values: string[] = []
  const follower = log.follow(topic, {
    from: 'earliest',
    onBatch: ({ records, partition }) => {
      for (const record of records) {
        look?.(record, partition)
        values.push(record.value.toString())
      }
    },
  })
  await follower.caughtUp
  await follower.close()
  return values
}
