import type { Cluster } from 'kafkajs'
import type { Logger } from 'pino'
import type { Message } from '../../../../schemas/events.ts'
import { Fault } from '../../fault.ts'
import { partitionOf } from '../partitioner.ts'
import { encodeBatch } from './batch.ts'
import { firstWaitMs, nextWait, pause, unavailable, within } from './deadline.ts'
import { produce, type Verdict } from './produce.ts'
import { type ProducerId, peer } from './protocol.ts'
import type { Session } from './session.ts'

/** A record on its way. Offset −1: Kafka has the record but no longer knows where. */
export type Outgoing = {
  readonly message: Message
  outcome: { readonly fault: Fault | null; readonly offset: number } | null
}

/** Records of one partition that go, and are acknowledged or refused, as one; the same bytes at every attempt. */
export type Part = {
  readonly partition: number
  readonly records: readonly Outgoing[]
  sequence: number
  bytes: Buffer | null
  /** An attempt went out of which we never heard. */
  unheard: boolean
}

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
  readonly #produce: typeof produce
  #id: ProducerId | null = null
  #sequences = new Map<number, number>()
  #spread = 0

  constructor(
    session: Session,
    topic: string,
    log: Logger,
    given: { readonly firstSequence?: number; readonly produce?: typeof produce } = {},
  ) {
    this.#session = session
    this.#topic = topic
    this.#log = log
    this.#firstSequence = given.firstSequence ?? 0
    this.#produce = given.produce ?? produce
  }

  /** Resolves when every record has its outcome, or soon after the signal falls (then some have none). */
  async send(records: readonly Outgoing[], signal: AbortSignal): Promise<void> {
    let lanes: Map<number, Part[]> | null = null
    for (let waitMs = firstWaitMs; !signal.aborted; ) {
      try {
        const cluster = await within(produceMs, 'connect', this.#session.cluster())
        lanes ??= this.#sort(cluster, records)
        this.#id ??= await this.#newId(cluster)
        const failure = await this.#round(cluster, this.#id, lanes)
        if (lanes.size === 0) return
        if (failure === null) {
          waitMs = firstWaitMs
          continue
        }
        await this.#session.failed(failure)
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
    // Without a key there is no order to keep: spread evenly.
    const sorted = Map.groupBy(records, ({ message: { key } }) =>
      key === null ? this.#spread++ % count : partitionOf(key, count),
    )
    return new Map([...sorted].map(([partition, own]) => [partition, [part(partition, own)]]))
  }

  async #newId(cluster: Cluster): Promise<ProducerId> {
    const any = cluster.getNodeIds()[0]
    if (any === undefined) throw unavailable('no broker is known')
    const broker = await within(produceMs, 'connect', cluster.findBroker({ nodeId: String(any) }))
    this.#sequences = new Map()
    return within(produceMs, 'give a producer id', peer(broker).initProducerId({ transactionTimeout: 60_000 }))
  }

  /** Sends the first part of each lane, to all leaders at once, and settles it. Answers a failure worth waiting after. */
  async #round(cluster: Cluster, id: ProducerId, lanes: Map<number, Part[]>): Promise<unknown> {
    const heads = new Map([...lanes].map(([partition, parts]) => [partition, parts[0]!]))
    const leaders = Object.entries(cluster.findLeaderForPartitions(this.#topic, [...heads.keys()]))
    if (leaders.length === 0) throw unavailable(`no leader of ${this.#topic} is known`)
    const failures = await Promise.all(
      leaders.map(async ([nodeId, partitions]) => {
        const parts = partitions.map(partition => heads.get(partition)!)
        try {
          const verdicts = await this.#ask(cluster, id, nodeId, parts)
          return (
            parts.map(one => this.#settle(lanes, one, verdicts.get(one.partition))).find(one => one !== null) ?? null
          )
        } catch (error) {
          for (const one of parts) one.unheard = one.bytes !== null
          return error
        }
      }),
    )
    return failures.find(one => one !== null) ?? null
  }

  async #ask(cluster: Cluster, id: ProducerId, nodeId: string, parts: readonly Part[]) {
    const broker = await within(produceMs, 'connect', cluster.findBroker({ nodeId }))
    const batches = parts.map(one => {
      if (one.bytes === null) {
        one.sequence = this.#sequences.get(one.partition) ?? this.#firstSequence
        const messages = one.records.map(({ message }) => message)
        one.bytes = encodeBatch(messages, { ...id, sequence: one.sequence, time: Date.now() })
      }
      return { partition: one.partition, bytes: one.bytes }
    })
    return within(produceMs, 'acknowledge', this.#produce(broker, this.#topic, batches))
  }

  /** Draws the consequence of a verdict; none (the answer does not speak of the partition) is a reason to ask again. */
  #settle(lanes: Map<number, Part[]>, one: Part, verdict: Verdict | undefined): Error | null {
    if (verdict === undefined) return new Error(`no word of ${this.#topic}/${one.partition}`)
    if ('base' in verdict) {
      this.#session.worked()
      this.#sequences.set(one.partition, after(one.sequence, one.records.length))
      drop(lanes, one)
      const { base } = verdict
      for (const [i, record] of one.records.entries())
        record.outcome = { fault: null, offset: base < 0 ? -1 : base + i }
      return null
    }
    if (strangers.has(verdict.type)) this.#renew(lanes, verdict.type)
    if (!refusals.has(verdict.type)) return Object.assign(new Error(`${this.#topic}: ${verdict.type}`), verdict)
    if (one.records.length > 1) split(lanes, one)
    else {
      drop(lanes, one)
      const outcome = { fault: new Fault('log_refused', `Kafka refuses the record: ${verdict.type}`), offset: -1 }
      for (const record of one.records) record.outcome = outcome
    }
    return null
  }

  #renew(lanes: Map<number, Part[]>, reason: string): void {
    if (this.#id === null) return // another part of the same answer has said so
    const waiting = [...lanes.values()].flat()
    const perhapsTwice = waiting.filter(({ unheard }) => unheard).reduce((sum, { records }) => sum + records.length, 0)
    this.#log.warn({ reason, perhapsTwice }, 'Kafka no longer knows this producer; going on under a new id')
    this.#id = null
    for (const one of waiting) one.bytes = null
  }
}

const part = (partition: number, records: readonly Outgoing[]): Part => ({
  partition,
  records,
  sequence: 0,
  bytes: null,
  unheard: false,
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

/** The broker does not know, or does not want, our id and numbers. */
const strangers = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
])

/** What sending the same again would not change. */
const refusals = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'])
