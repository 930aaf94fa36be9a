import type { Cluster, Message as KafkaMessage } from 'kafkajs'
import type { Logger } from 'pino'
import { Fault, textOf } from '../../fault.ts'
import { partitionOf } from '../partitioner.ts'
import { firstWaitMs, nextWait, pause, unavailable, within } from './deadline.ts'
import { errorType, type ProducerId, peer } from './protocol.ts'
import type { Session } from './session.ts'

/** A record on its way. Offset −1: Kafka has the record but no longer knows where. */
export type Outgoing = {
  readonly key: string | null
  readonly message: KafkaMessage
  outcome: { readonly fault: Fault | null; readonly offset: number } | null
}

/** Records of one partition that go, and are acknowledged or refused, as one. */
type Part = {
  readonly partition: number
  readonly records: readonly Outgoing[]
  sequence: number | null
  sent: boolean
}

/** The broker waits this long for its replicas; the request has longer (see the client), so that we hear its verdict. */
const ackMs = 8_000
const produceMs = 12_000

/**
 * Sends batches in order, each until it is acknowledged, for as long as that takes.
 *
 * The order within a partition holds because only one batch is under way, and because every attempt at it carries the
 * same producer id and sequence numbers, over whichever connection: the broker then drops what it already has. (The id
 * and the numbers are kept here and not in kafkajs, so a connection can be thrown away at any time.) A record is
 * written twice in one case only: the broker has forgotten or refuses our id (its log was truncated, or the topic made
 * anew) after a batch whose acknowledgement we missed. The batch then goes again under a new id, which is said in the
 * log; consumers drop what they know by event id.
 */
export class Producer {
  readonly #session: Session
  readonly #topic: string
  readonly #log: Logger
  readonly #firstSequence: number
  #id: ProducerId | null = null
  #sequences = new Map<number, number>()
  #spread = 0

  constructor(session: Session, topic: string, log: Logger, firstSequence = 0) {
    this.#session = session
    this.#topic = topic
    this.#log = log
    this.#firstSequence = firstSequence
  }

  /** Resolves when every record has its outcome, or soon after the signal falls (then some have none). */
  async send(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    let lanes: Map<number, Part[]> | null = null
    let alone = false // one partition to a request, so that a refusal can be told to whom it belongs
    for (let waitMs = firstWaitMs; !signal.aborted; ) {
      try {
        const cluster = await within(produceMs, 'connect', this.#session.cluster())
        lanes ??= this.#sort(cluster, records)
        this.#id ??= await this.#newId(cluster)
        const failures = await this.#round(cluster, this.#id, lanes, alone)
        alone = await this.#weigh(failures, lanes)
        if (lanes.size === 0) return
        if (failures.length === 0) {
          waitMs = firstWaitMs
          continue
        }
      } catch (error) {
        if (signal.aborted) return
        await this.#session.failed(error)
      }
      await pause(waitMs, signal)
      waitMs = nextWait(waitMs)
    }
  }

  #sort(cluster: Cluster, records: readonly Outgoing[]): Map<number, Part[]> {
    const count = cluster.findTopicPartitionMetadata(this.#topic).length
    if (count === 0) throw unavailable(`no partitions of ${this.#topic} are known yet`)
    const sorted = new Map<number, Outgoing[]>()
    for (const record of records) {
      // Without a key there is no order to keep: spread evenly.
      const partition = record.key === null ? this.#spread++ % count : partitionOf(record.key, count)
      const others = sorted.get(partition)
      if (others) others.push(record)
      else sorted.set(partition, [record])
    }
    return new Map([...sorted].map(([partition, own]) => [partition, [part(partition, own)]]))
  }

  async #newId(cluster: Cluster): Promise<ProducerId> {
    const any = cluster.getNodeIds()[0]
    if (any === undefined) throw unavailable('no broker is known')
    const broker = await within(produceMs, 'connect', cluster.findBroker({ nodeId: String(any) }))
    this.#sequences = new Map()
    return within(produceMs, 'give a producer id', peer(broker).initProducerId({ transactionTimeout: 60_000 }))
  }

  /** Sends the first part of each lane, to all leaders at once; takes away what was acknowledged. */
  async #round(cluster: Cluster, id: ProducerId, lanes: Map<number, Part[]>, alone: boolean): Promise<Failure[]> {
    const heads = new Map([...lanes].map(([partition, parts]) => [partition, parts[0]!]))
    const leaders = Object.entries(cluster.findLeaderForPartitions(this.#topic, [...heads.keys()]))
    const failures: Failure[] = []
    await Promise.all(
      leaders.map(async ([nodeId, partitions]) => {
        const led = partitions.map(partition => heads.get(partition)!)
        for (const parts of alone ? led.map(one => [one]) : [led]) {
          try {
            const offsets = await this.#produce(cluster, id, nodeId, parts)
            for (const one of parts) this.#acknowledged(lanes, one, offsets.get(one.partition))
          } catch (error) {
            failures.push({ parts, error })
            if (errorType(error) === null) return // no use in asking a silent broker again in this round
          }
        }
      }),
    )
    if (leaders.length === 0) throw unavailable(`no leader of ${this.#topic} is known`)
    return failures
  }

  async #produce(
    cluster: Cluster,
    id: ProducerId,
    nodeId: string,
    parts: readonly Part[],
  ): Promise<Map<number, number>> {
    const broker = await within(produceMs, 'connect', cluster.findBroker({ nodeId }))
    for (const one of parts) one.sequence ??= this.#sequences.get(one.partition) ?? this.#firstSequence
    const request = peer(broker).produce({
      acks: -1,
      timeout: ackMs,
      producerId: id.producerId,
      producerEpoch: id.producerEpoch,
      topicData: [
        {
          topic: this.#topic,
          partitions: parts.map(({ partition, records, sequence }) => ({
            partition,
            firstSequence: sequence ?? 0,
            messages: records.map(({ message }) => message),
          })),
        },
      ],
    })
    try {
      const { topics } = await within(produceMs, 'acknowledge', request)
      return new Map(topics.flatMap(t => t.partitions.map(p => [p.partition, Number(p.baseOffset)] as const)))
    } catch (error) {
      if (errorType(error) === null) for (const one of parts) one.sent = true
      throw error
    }
  }

  #acknowledged(lanes: Map<number, Part[]>, one: Part, base: number | undefined): void {
    if (base === undefined) return // not spoken of in the answer: it stays, and goes again under the same numbers
    this.#session.worked()
    this.#sequences.set(one.partition, after(one.sequence ?? 0, one.records.length))
    drop(lanes, one)
    for (const [i, record] of one.records.entries()) record.outcome = { fault: null, offset: base < 0 ? -1 : base + i }
  }

  /** What to do about the failures of a round. Answers whether the next one goes partition by partition. */
  async #weigh(failures: readonly Failure[], lanes: Map<number, Part[]>): Promise<boolean> {
    let alone = false
    for (const { parts, error } of failures) {
      const verdict = verdicts.get(errorType(error) ?? '')
      const [one] = parts
      if (!verdict || !one) await this.#session.failed(error)
      else if (parts.length > 1) alone = true
      else if (verdict === 'known') this.#acknowledged(lanes, one, -1)
      else if (verdict === 'stranger') this.#renew(lanes, error)
      else if (one.records.length > 1) split(lanes, one)
      else {
        drop(lanes, one)
        const fault = new Fault('log_refused', `Kafka refuses the record: ${textOf(error)}`, { cause: error })
        for (const record of one.records) record.outcome = { fault, offset: -1 }
      }
    }
    return alone
  }

  #renew(lanes: Map<number, Part[]>, error: unknown): void {
    const waiting = [...lanes.values()].flat()
    const perhapsTwice = waiting.filter(({ sent }) => sent).reduce((sum, { records }) => sum + records.length, 0)
    this.#log.warn({ err: error, perhapsTwice }, 'Kafka no longer knows this producer; going on under a new id')
    this.#id = null
    for (const one of waiting) one.sequence = null
  }
}

type Failure = { readonly parts: readonly Part[]; readonly error: unknown }

const part = (partition: number, records: readonly Outgoing[]): Part => ({
  partition,
  records,
  sequence: null,
  sent: false,
})

/** Sequence numbers are 31 bits wide and begin again at 0. */
export const after = (sequence: number, count: number): number => (sequence + count) % 2 ** 31

function drop(lanes: Map<number, Part[]>, one: Part): void {
  const rest = (lanes.get(one.partition) ?? []).filter(other => other !== one)
  if (rest.length > 0) lanes.set(one.partition, rest)
  else lanes.delete(one.partition)
}

/** A part too large for the topic goes in halves. Its numbers were not taken: the first half has them. */
function split(lanes: Map<number, Part[]>, one: Part): void {
  const middle = one.records.length >> 1
  const halves = [one.records.slice(0, middle), one.records.slice(middle)].map(half => part(one.partition, half))
  lanes.set(one.partition, [...halves, ...(lanes.get(one.partition) ?? []).slice(1)])
}

/** Answers to a batch that sending the same again would not change; all others are tried again. */
const verdicts: ReadonlyMap<string, 'known' | 'stranger' | 'refused'> = new Map([
  ['DUPLICATE_SEQUENCE_NUMBER', 'known'],
  ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'stranger'],
  ['UNKNOWN_PRODUCER_ID', 'stranger'],
  ['INVALID_PRODUCER_EPOCH', 'stranger'],
  ['INVALID_PRODUCER_ID_MAPPING', 'stranger'],
  ['MESSAGE_TOO_LARGE', 'refused'],
  ['RECORD_LIST_TOO_LARGE', 'refused'],
  ['INVALID_RECORD', 'refused'],
  ['INVALID_TIMESTAMP', 'refused'],
])
