import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cluster } from 'kafkajs'
import { type Outgoing, Producer } from '../../services/io/log/kafka/producer.ts'
import type { Session } from '../../services/io/log/kafka/session.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import { silent } from '../support/broker.ts'
import { listening, message } from '../support/kafka.ts'

/**
 * A cluster of several brokers on paper: who leads what, and what each answers. What one real broker cannot be made to
 * show is shown here; the rest is shown on a real one.
 */
type Request = {
  readonly node: string
  readonly id: string
  readonly parts: readonly {
    readonly partition: number
    readonly sequence: number
    readonly values: readonly string[]
  }[]
}
type Answer = 'take' | 'take and fall silent' | 'fall silent' | { readonly type: string }

function paper(
  partitions: number,
  leaders: (partition: number) => string,
  answer: (request: Request, n: number) => Answer,
) {
  const requests: Request[] = []
  const log = new Map<number, string[]>()
  let ids = 0
  const broker = (node: string) => ({
    initProducerId: async () => ({ producerId: `id-${ids++}`, producerEpoch: 0 }),
    produce: async (sent: Produced) => {
      const parts = sent.topicData[0]!.partitions.map(({ partition, firstSequence, messages }) => ({
        partition,
        sequence: firstSequence,
        values: messages.map(({ value }) => String(value)),
      }))
      const request = { node, id: sent.producerId, parts }
      requests.push(request)
      const said = answer(request, requests.length)
      if (typeof said === 'object') throw Object.assign(new Error(said.type), said)
      if (said !== 'fall silent') for (const { partition, values } of parts) log.set(partition, values)
      if (said !== 'take') throw new Error('the connection was closed')
      return {
        topics: [{ topicName: 't', partitions: parts.map(p => ({ partition: p.partition, baseOffset: '100' })) }],
      }
    },
  })
  const cluster = {
    findTopicPartitionMetadata: () => Array.from({ length: partitions }, (_, partitionId) => ({ partitionId })),
    findLeaderForPartitions: (_: string, asked: readonly number[]) => Object.groupBy(asked, leaders),
    findBroker: async ({ nodeId }: { nodeId: string }) => broker(nodeId),
    getNodeIds: () => ['1'],
  }
  const session = { cluster: async () => cluster as unknown as Cluster, failed: async () => {}, worked: () => {} }
  return { session: session as unknown as Session, requests, log } // the methods that a producer calls
}
type Produced = {
  readonly producerId: string
  readonly topicData: readonly {
    readonly partitions: readonly {
      readonly partition: number
      readonly firstSequence: number
      readonly messages: readonly { readonly value: Buffer }[]
    }[]
  }[]
}

const keyFor = (partition: number, of: number): string => {
  for (let i = 0; ; i++) if (partitionOf(`${i}`, of) === partition) return `${i}`
}
const record = (partition: number, of: number, value: string): Outgoing => {
  const key = keyFor(partition, of)
  return { key, message: message(key, value), outcome: null }
}
const send = (producer: Producer, records: readonly Outgoing[]) => producer.send(records, AbortSignal.timeout(5_000))

test('a leader that moves in the middle of a batch: its part goes to the next one under its numbers, the other never again', async () => {
  let moved = false
  const cluster = paper(
    2,
    partition => (partition === 0 && !moved ? 'A' : 'B'),
    ({ node }) => {
      if (node !== 'A') return 'take'
      moved = true
      return 'take and fall silent'
    },
  )
  const producer = new Producer(cluster.session, 't', silent)
  const records = [record(0, 2, 'zero'), record(1, 2, 'one')]
  await send(producer, records)
  assert.deepEqual(
    cluster.requests.map(({ node, parts }) => [node, ...parts.map(p => `${p.partition}#${p.sequence}`)]).sort(),
    [
      ['A', '0#0'],
      ['B', '0#0'],
      ['B', '1#0'],
    ],
  )
  assert.ok(records.every(({ outcome }) => outcome?.fault === null))
  await send(producer, [record(0, 2, 'again')])
  assert.deepEqual(cluster.requests.at(-1)?.parts[0]?.sequence, 1)
})

test('a batch that was taken unheard goes again under the same numbers, and is known', async () => {
  const answers: Answer[] = ['take and fall silent', { type: 'DUPLICATE_SEQUENCE_NUMBER' }]
  const cluster = paper(
    1,
    () => 'A',
    (_, n) => answers[n - 1] ?? 'take',
  )
  const producer = new Producer(cluster.session, 't', silent)
  const first = record(0, 1, 'a')
  await send(producer, [first])
  assert.deepEqual(first.outcome, { fault: null, offset: -1 })
  await send(producer, [record(0, 1, 'b')])
  assert.deepEqual(
    cluster.requests.map(({ parts }) => parts[0]?.sequence),
    [0, 0, 1],
  )
})

test('a broker that has forgotten the producer gets a new one, and what may be there twice is said', async () => {
  const lines: string[] = []
  const answers: Answer[] = ['take', 'take and fall silent', { type: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }, 'take', 'take']
  const cluster = paper(
    1,
    () => 'A',
    (_, n) => answers[n - 1] ?? 'take',
  )
  const producer = new Producer(cluster.session, 't', listening(lines))
  for (const value of ['a', 'b', 'c']) await send(producer, [record(0, 1, value)])
  assert.deepEqual(
    cluster.requests.map(({ id, parts }) => `${id} ${parts[0]?.sequence} ${parts[0]?.values}`),
    ['id-0 0 a', 'id-0 1 b', 'id-0 1 b', 'id-1 0 b', 'id-1 1 c'],
  )
  assert.equal(lines.filter(line => line.includes('"perhapsTwice":1')).length, 1)
})

test('a refusal in a request of several partitions is found by asking one by one', async () => {
  const refuse = ({ parts }: Request): Answer =>
    parts.some(({ partition }) => partition === 1) ? { type: 'MESSAGE_TOO_LARGE' } : 'take'
  const cluster = paper(3, () => 'A', refuse)
  const records = [0, 1, 2].map(partition => record(partition, 3, 'x'))
  await send(new Producer(cluster.session, 't', silent), records)
  assert.deepEqual(
    records.map(({ outcome }) => outcome?.fault?.code ?? null),
    [null, 'log_refused', null],
  )
})
