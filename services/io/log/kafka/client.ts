import { createRequire } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import kafkajs, { type Cluster, type ISocketFactory, type Kafka, type KafkaConfig, type LogEntry } from 'kafkajs'
import type { Logger } from 'pino'

/** Who to talk to. `brokers` are `host:port`, any of the cluster's; the rest is learnt from them. */
export type Address = {
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly log: Logger
  readonly ssl?: TlsOptions | boolean
  readonly sasl?: Credentials
}

export type TlsOptions = Extract<KafkaConfig['ssl'], object>
export type Credentials = {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/**
 * One client of the cluster, with sockets of its own.
 *
 * We use kafkajs for the protocol, the connections and the admin calls, and drive its `Cluster` ourselves instead of its
 * Producer and Consumer. Those two give up, or go on, in places where the promises of the port need a say: the producer
 * loses a partition that changes leader in the middle of a batch, writes a batch twice when it is sent again after half
 * of it was acknowledged, and skips a sequence number at 2^31; the consumer rejoins a group before its user has let go
 * of a partition, stamps an old member's commit with the new generation, and stands still before an emptied batch of a
 * compacted topic. What is lost by that: one dead partition fails the metadata of its topic (kafkajs takes all or
 * nothing), so with a single replica a topic is as available as its least available broker.
 */
export type Client = {
  readonly kafka: Kafka
  readonly cluster: Cluster
  /** Closes all sockets now; whatever waits on them fails at once. */
  cut(): void
}

export function openClient(address: Address, attempt = 0): Client {
  calmTimers()
  const first = attempt % address.brokers.length
  const sockets = new Set<net.Socket>()
  const kafka = new kafkajs.Kafka({
    // Each attempt begins with another broker, since a new client asks only the first of its list.
    brokers: [...address.brokers.slice(first), ...address.brokers.slice(0, first)],
    clientId: address.clientId,
    ...(address.ssl === undefined ? {} : { ssl: address.ssl }),
    // `as`: kafkajs tells the one shape three times, once per mechanism.
    ...(address.sasl === undefined ? {} : { sasl: address.sasl as NonNullable<KafkaConfig['sasl']> }),
    connectionTimeout: 3_000, // a host that swallows packets costs this much of the second or two a move may take
    authenticationTimeout: 5_000,
    requestTimeout: 10_000, // a broker that took a request and fell silent
    // Every attempt is ours: two clocks of retries, one inside the other, are how ten seconds of deafness come about.
    retry: { retries: 0 },
    socketFactory: socketFactory(sockets),
    logLevel: kafkajs.logLevel.INFO,
    logCreator: () => entry => speak(address.log, entry),
  })
  return {
    kafka,
    cluster: clusterOf(kafka),
    cut: () => {
      // With an error, because kafkajs fails the requests under way on `error` and `end`, and not on `close`.
      for (const socket of sockets) socket.destroy(new Error('cut off'))
    },
  }
}

/** kafkajs hands its cluster to whoever assigns partitions: the one documented way to it. */
function clusterOf(kafka: Kafka): Cluster {
  let cluster: Cluster | undefined
  kafka.consumer({
    groupId: 'unused',
    readUncommitted: true,
    allowAutoTopicCreation: false,
    metadataMaxAge: 60_000, // new partitions are seen within this, moved leaders by the errors they cause
    partitionAssigners: [
      config => {
        cluster = config.cluster
        return kafkajs.PartitionAssigners.roundRobin(config)
      },
    ],
  })
  if (!cluster) throw new Error('this kafkajs is not the pinned one: it gave its assigner no cluster')
  return cluster
}

const socketFactory =
  (sockets: Set<net.Socket>): ISocketFactory =>
  ({ host, port, ssl, onConnect }) => {
    const socket: net.Socket = ssl
      ? tls.connect({ host, port, ...(net.isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
      : net.connect({ host, port }, onConnect)
    socket.setKeepAlive(true, 30_000)
    socket.setNoDelay(true) // kafkajs leaves Nagle on, which holds a small request back until the last one is acknowledged
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    return socket
  }

/**
 * All that kafkajs says is for debugging: each of its errors also reaches us as a rejection, and we speak once per
 * outage instead of once per attempt.
 */
function speak(log: Logger, { namespace, label, log: entry }: LogEntry): void {
  const { message, timestamp: _, stack: __, ...rest } = entry
  log.debug({ ...rest, namespace, label }, `kafkajs: ${message}`)
}

type RequestQueue = { readonly pending: readonly unknown[]; scheduleCheckPendingRequests(): void }

let calmed = false

/**
 * Each connection of kafkajs looks for requests it has held back every millisecond, for ever, whether there are any or
 * not: a timer in the past that sets itself anew. A gateway with a dozen connections would pay a tenth of a core for
 * nothing (and Node would warn of the negative timeout). We let it look only while something is held back.
 */
function calmTimers(): void {
  if (calmed) return
  calmed = true
  // `as`: the pinned version's class, which nothing exports and no type describes.
  const queue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue }
  const look = queue.prototype.scheduleCheckPendingRequests
  queue.prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) look.call(this)
  }
}
