import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Broker, Cluster } from 'kafkajs'
import { crc32c } from '../../services/io/log/kafka/crc32c.ts'
import type { produce, Verdict } from '../../services/io/log/kafka/produce.ts'
import { after, type Outgoing, Producer } from '../../services/io/log/kafka/producer.ts'
import type { Session } from '../../services/io/log/kafka/session.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import { silent } from '../support/broker.ts'
import { listening, message } from '../support/kafka.ts'

/**
 * A cluster of several brokers on paper: who leads what, and what each answers. What one real broker cannot be made to
 * show is shown here; the rest is shown on a real one.
 */
type Request = { readonly node: string; readonly parts: readonly string[] }
type Answer = 'take' | 'fall silent' | { readonly type: string } | 'know'

function paper(
  count: number,
  leaders: (partition: number) => string,
  answer: (partition: number, n: number) => Answer,
) {
  const requests: Request[] = []
  let ids = 0
  const cluster = {
    findTopicPartitionMetadata: () => Array.from({ length: count }, (_, partitionId) => ({ partitionId })),
    findLeaderForPartitions: (_: string, asked: readonly number[]) => Object.groupBy(asked, leaders),
    findBroker: async ({ nodeId }: { nodeId: string }) => ({ nodeId, initProducerId }),
    getNodeIds: () => ['1'],
  }
  const initProducerId = async () => ({ producerId: `${ids++}`, producerEpoch: 0 })
  const session = { cluster: async () => cluster as unknown as Cluster, failed: async () => {}, worked: () => {} }
  const carry: typeof produce = async (broker, _, batches) => {
    const { nodeId } = broker as unknown as Broker & { readonly nodeId: string } // what `findBroker` above gave
    // id, sequence and number of records, from where a batch has them
    const parts = batches.map(({ partition, bytes }) => {
      assert.equal(bytes.readUInt32BE(17), crc32c(bytes, 21, bytes.length))
      return `${partition}: id ${bytes.readBigInt64BE(43)} #${bytes.readInt32BE(53)} x${bytes.readInt32BE(57)}`
    })
    requests.push({ node: nodeId, parts })
    const said = batches.map(({ partition }) => [partition, answer(partition, requests.length)] as const)
    if (said.some(([, one]) => one === 'fall silent')) throw new Error('the connection was closed')
    return new Map(said.map(([partition, one]): [number, Verdict] => [partition, verdict(one)]))
  }
  const open = (log = silent) => new Producer(session as unknown as Session, 't', log, { produce: carry }) // the methods that a producer calls
  return { open, requests }
}
const verdict = (answer: Answer): Verdict =>
  typeof answer === 'object' ? answer : { base: answer === 'know' ? -1 : 100 }

function record(partition: number, of: number): Outgoing {
  for (let i = 0; ; i++) {
    if (partitionOf(`${i}`, of) === partition) return { message: message(`${i}`, 'x'), outcome: null }
  }
}
const send = (producer: Producer, records: readonly Outgoing[]) => producer.send(records, AbortSignal.timeout(5_000))

test('sequence numbers begin again at 0 after 2^31 - 1', () => {
  assert.equal(after(5, 3), 8)
  assert.equal(after(2 ** 31 - 1, 1), 0)
  assert.equal(after(2 ** 31 - 3, 10), 7)
})

test('the checksum is that of the standard', () => {
  assert.equal(crc32c(Buffer.from('123456789'), 0, 9), 0xe3069283)
  assert.equal(crc32c(Buffer.from('..abc..'), 2, 5), 0x364b3fb7)
  assert.equal(crc32c(Buffer.alloc(0), 0, 0), 0)
})

test('a leader that moves in a batch: its part goes to the next one under its numbers, the other part never again', async () => {
  let moved = false
  const cluster = paper(
    2,
    partition => (partition === 0 && !moved ? 'A' : 'B'),
    partition => {
      if (partition === 1 || moved) return 'take'
      moved = true
      return 'fall silent'
    },
  )
  const producer = cluster.open()
  const records = [record(0, 2), record(1, 2)]
  await send(producer, records)
  const byNode = (node: string) => cluster.requests.filter(one => one.node === node).flatMap(({ parts }) => parts)
  assert.deepEqual(byNode('A'), ['0: id 0 #0 x1'])
  assert.deepEqual(byNode('B'), ['1: id 0 #0 x1', '0: id 0 #0 x1'])
  assert.ok(records.every(({ outcome }) => outcome?.fault === null))
  await send(producer, [record(0, 2)])
  assert.deepEqual(cluster.requests.at(-1)?.parts, ['0: id 0 #1 x1'])
})

test('a batch that was taken unheard goes again under the same numbers, and is known', async () => {
  const answers: Answer[] = ['fall silent', 'know']
  const cluster = paper(
    1,
    () => 'A',
    (_, n) => answers[n - 1] ?? 'take',
  )
  const producer = cluster.open()
  const first = record(0, 1)
  await send(producer, [first])
  assert.deepEqual(first.outcome, { fault: null, offset: -1 })
  await send(producer, [record(0, 1)])
  assert.deepEqual(
    cluster.requests.flatMap(({ parts }) => parts),
    ['0: id 0 #0 x1', '0: id 0 #0 x1', '0: id 0 #1 x1'],
  )
})

test('a broker that has forgotten the producer gets a new one, and what may be there twice is said', async () => {
  const lines: string[] = []
  const answers: Answer[] = ['take', 'fall silent', { type: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }]
  const cluster = paper(
    1,
    () => 'A',
    (_, n) => answers[n - 1] ?? 'take',
  )
  const producer = cluster.open(listening(lines))
  for (let i = 0; i < 3; i++) await send(producer, [record(0, 1)])
  assert.deepEqual(
    cluster.requests.flatMap(({ parts }) => parts),
    ['0: id 0 #0 x1', '0: id 0 #1 x1', '0: id 0 #1 x1', '0: id 1 #0 x1', '0: id 1 #1 x1'],
  )
  assert.equal(lines.filter(line => line.includes('"perhapsTwice":1')).length, 1)
})

test('what one partition refuses does not touch the others of the request', async () => {
  const cluster = paper(
    3,
    () => 'A',
    partition => (partition === 1 ? { type: 'MESSAGE_TOO_LARGE' } : 'take'),
  )
  const records = [0, 1, 2].map(partition => record(partition, 3))
  await send(cluster.open(), records)
  assert.deepEqual(
    records.map(({ outcome }) => outcome?.fault?.code ?? null),
    [null, 'log_refused', null],
  )
  assert.equal(cluster.requests.length, 1)
})
