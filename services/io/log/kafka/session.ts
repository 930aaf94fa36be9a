import type { Cluster } from 'kafkajs'
import type { Logger } from 'pino'
import { Fault, textOf } from '../../fault.ts'
import type { Client } from './client.ts'
import { firstWaitMs, nextWait, now, pause, unavailable, within } from './deadline.ts'
import { errorType, isFinal, isStale } from './protocol.ts'

/** Leaders move and coordinators load: what is over sooner is not worth a line in the log. */
const noticeMs = 1_000

/** No single request may hold a session up for longer, whatever kafkajs is waiting for inside. */
const requestMs = 15_000

/**
 * A connection to the cluster that is made when first needed and made anew when it breaks. Each writer, follower and
 * group member has its own: a broker answers the requests of a connection one after the other, so a group that
 * rebalances would otherwise hold up a commit of another.
 */
export class Session {
  readonly #open: () => Client
  readonly #log: Logger
  readonly #own: readonly string[]
  readonly #topics: Set<string>
  #client: Client | null = null
  #ready: Promise<Cluster> | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #awaySince: number | null = null
  #told = false
  #closed = false

  /** `topics` are those it is for; others may be asked about later. */
  constructor(open: () => Client, topics: readonly string[], log: Logger) {
    this.#open = open
    this.#own = topics
    this.#topics = new Set(topics)
    this.#log = log
  }

  /** Connected, and with metadata of the topics that is at most a minute old. */
  async cluster(topics: readonly string[] = []): Promise<Cluster> {
    if (this.#closed) throw unavailable('the log is closed')
    const missing = topics.filter(topic => !this.#topics.has(topic))
    for (const topic of missing) this.#topics.add(topic)
    if (!this.#ready) {
      this.#client = this.#open()
      this.#ready = this.#connect(this.#client.cluster)
      return this.#ready
    }
    const cluster = await this.#ready
    if (missing.length > 0) await cluster.addMultipleTargetTopics(missing)
    else await cluster.refreshMetadataIfNecessary()
    return cluster
  }

  async #connect(cluster: Cluster): Promise<Cluster> {
    await cluster.connect()
    await cluster.addMultipleTargetTopics([...this.#topics])
    return cluster
  }

  /**
   * Asks until there is an answer, or throws `log_unavailable` after `deadlineMs`; what the broker says for good is
   * `log_refused` with the broker's word as its cause (`errorType`). One request at a time: kafkajs opens a second
   * socket over the first when two callers meet a broken connection.
   */
  async ask<T>(
    what: string,
    deadlineMs: number,
    act: (cluster: Cluster) => Promise<T>,
    options: { readonly signal?: AbortSignal; readonly attemptMs?: number; readonly topics?: readonly string[] } = {},
  ): Promise<T> {
    const since = now()
    for (let waitMs = firstWaitMs; ; waitMs = nextWait(waitMs)) {
      try {
        const attempt = this.#inTurn(what, options.attemptMs ?? requestMs, async () =>
          act(await this.cluster(options.topics)),
        )
        attempt.catch(() => {}) // it may fail after its caller has stopped waiting
        const answer = await within(since + deadlineMs - now(), what, attempt)
        this.worked()
        return answer
      } catch (error) {
        const type = errorType(error)
        if (isFinal(type))
          throw new Fault('log_refused', `Kafka refuses to ${what}: ${textOf(error)}`, { cause: error })
        if (type === unknownTopic && now() - since > unknownTopicMs) {
          throw new Fault('topic_unknown', `${(options.topics ?? this.#own).join(', ')}: no such topic`, {
            cause: error,
          })
        }
        await this.failed(error)
        if (this.#closed || options.signal?.aborted || now() + waitMs > since + deadlineMs) {
          throw unavailable(`Kafka did not ${what}: ${textOf(error)}`, error)
        }
        await pause(waitMs, options.signal)
      }
    }
  }

  #inTurn<T>(what: string, ms: number, act: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(() => within(ms, what, act()))
    this.#turn = mine.catch(() => {})
    return mine
  }

  /** To be told of every failure: decides between new metadata and a new connection, and says once when Kafka stays away. */
  async failed(error: unknown): Promise<void> {
    if (this.#closed) return
    const type = errorType(error)
    this.#complain(error)
    if (type === unknownTopic) {
      // One topic that is gone fails the metadata of all; those that were only asked about may be it.
      this.#topics.clear()
      for (const topic of this.#own) this.#topics.add(topic)
    } else if (type !== null) {
      if (!isStale(type) || !this.#ready) return
      try {
        const cluster = await this.#ready
        await within(requestMs, 'give metadata', cluster.refreshMetadata())
        return
      } catch {
        // then by a new connection
      }
    }
    this.reset()
  }

  /** To be told of the failure of one broker where others are there: only asks these who leads now. */
  async look(error: unknown): Promise<void> {
    if (this.#closed || !this.#ready) return
    this.#complain(error)
    const cluster = await this.#ready
    try {
      await within(requestMs, 'give metadata', cluster.refreshMetadata())
    } catch (again) {
      // kafkajs takes no metadata at all while one partition is being elected a leader; the old serves the others.
      if (errorType(again) !== 'LEADER_NOT_AVAILABLE') throw again
    }
  }

  #complain(error: unknown): void {
    this.#log.debug({ err: error }, 'an attempt failed')
    this.#awaySince ??= now()
    if (this.#told || now() - this.#awaySince < noticeMs) return
    this.#told = true
    this.#log.warn(
      { awayMs: Math.round(now() - this.#awaySince) },
      `Kafka does not answer, trying on: ${textOf(error)}`,
    )
  }

  /** To be told of every success. */
  worked(): void {
    if (this.#awaySince === null) return
    if (this.#told) this.#log.info({ awayMs: Math.round(now() - this.#awaySince) }, 'Kafka answers again')
    this.#awaySince = null
    this.#told = false
  }

  /** Forgets the connection; the next request makes a new one, starting from the configured brokers. */
  reset(): void {
    this.#client?.cut()
    this.#client = null
    this.#ready = null
  }

  close(): void {
    this.#closed = true
    this.reset()
  }
}

const unknownTopic = 'UNKNOWN_TOPIC_OR_PARTITION'
/** A topic just made is known to all brokers well before this. */
const unknownTopicMs = 1_000
