import type { Broker } from 'kafkajs'
import { transport } from './protocol.ts'

/** What a broker says of one partition's batch: taken, its first record at `base` (−1: it no longer knows), or why not. */
export type Verdict = { readonly base: number } | { readonly type: string }

/** The broker waits this long for its replicas; the request has longer (see the client), so that we hear its verdict. */
const ackMs = 8_000

/**
 * One produce request (version 7: Kafka 2.1 and newer) to one broker, acknowledged by all in-sync replicas. kafkajs
 * carries it; the bytes are ours, and so is the reading of the answer: kafkajs's own tells only the first refusal of a
 * request, and not whose it is. Throws what the network throws.
 */
export async function produce(
  broker: Broker,
  topic: string,
  batches: readonly { readonly partition: number; readonly bytes: Buffer }[],
): Promise<ReadonlyMap<number, Verdict>> {
  return transport(broker).send({
    request: {
      apiKey: 0,
      apiVersion: 7,
      apiName: 'Produce',
      expectResponse: () => true,
      encode: async () => asEncoder(encode(topic, batches)),
    },
    response: { decode: async bytes => decode(bytes), parse: async ({ verdicts }) => verdicts },
  })
}

/** What kafkajs takes for the work of its own encoder. */
const asEncoder = (bytes: Buffer) => ({ buf: bytes, buffer: bytes })

function encode(topic: string, batches: readonly { readonly partition: number; readonly bytes: Buffer }[]): Buffer {
  const name = Buffer.from(topic)
  const head = Buffer.allocUnsafe(18 + name.length)
  head.writeInt16BE(-1, 0) // no transaction
  head.writeInt16BE(-1, 2) // acknowledged by all
  head.writeInt32BE(ackMs, 4)
  head.writeInt32BE(1, 8)
  head.writeInt16BE(name.length, 12)
  head.set(name, 14)
  head.writeInt32BE(batches.length, 14 + name.length)
  return Buffer.concat([
    head,
    ...batches.flatMap(({ partition, bytes }) => {
      const before = Buffer.allocUnsafe(8)
      before.writeInt32BE(partition, 0)
      before.writeInt32BE(bytes.length, 4)
      return [before, bytes]
    }),
  ])
}

function decode(bytes: Buffer): { verdicts: ReadonlyMap<number, Verdict>; clientSideThrottleTime: number } {
  const verdicts = new Map<number, Verdict>()
  let at = 0
  const topics = bytes.readInt32BE(at)
  at += 4
  for (let t = 0; t < topics; t++) {
    at += 2 + bytes.readInt16BE(at)
    const partitions = bytes.readInt32BE(at)
    at += 4
    for (let p = 0; p < partitions; p++) {
      const code = bytes.readInt16BE(at + 4)
      const base = Number(bytes.readBigInt64BE(at + 6))
      const taken = code === 0 || code === alreadyTaken
      verdicts.set(bytes.readInt32BE(at), taken ? { base } : { type: errorNames.get(code) ?? `ERROR_${code}` })
      at += 30 // partition, code, base offset, append time, log start
    }
  }
  return { verdicts, clientSideThrottleTime: bytes.readInt32BE(at) }
}

/** The sequence numbers are older than the last few that the broker keeps offsets for. */
const alreadyTaken = 46

/** Those that are acted upon. */
const errorNames: ReadonlyMap<number, string> = new Map([
  [3, 'UNKNOWN_TOPIC_OR_PARTITION'],
  [5, 'LEADER_NOT_AVAILABLE'],
  [6, 'NOT_LEADER_FOR_PARTITION'],
  [9, 'REPLICA_NOT_AVAILABLE'],
  [10, 'MESSAGE_TOO_LARGE'],
  [18, 'RECORD_LIST_TOO_LARGE'],
  [19, 'NOT_ENOUGH_REPLICAS'],
  [20, 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
  [29, 'TOPIC_AUTHORIZATION_FAILED'],
  [32, 'INVALID_TIMESTAMP'],
  [45, 'OUT_OF_ORDER_SEQUENCE_NUMBER'],
  [47, 'INVALID_PRODUCER_EPOCH'],
  [49, 'INVALID_PRODUCER_ID_MAPPING'],
  [56, 'KAFKA_STORAGE_ERROR'],
  [59, 'UNKNOWN_PRODUCER_ID'],
  [74, 'FENCED_LEADER_EPOCH'],
  [75, 'UNKNOWN_LEADER_EPOCH'],
  [87, 'INVALID_RECORD'],
])
