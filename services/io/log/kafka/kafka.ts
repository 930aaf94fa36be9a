import type { Logger } from 'pino'
import { Fault } from '../../fault.ts'
import type { EventLog, Follower, Writer } from '../port.ts'
import { type Credentials, openClient, type TlsOptions } from './client.ts'
import { type GroupConsumer, openConsumer } from './consume.ts'
import { openFollower } from './follow.ts'
import { openLookup } from './lookup.ts'
import { fetchMarks, markKey, nobody, putMark } from './marks.ts'
import { type MemberTimes, memberTimes } from './member.ts'
import { Session } from './session.ts'
import { ensureTopics } from './topics.ts'
import { openWriter, type WriterLimits, writerLimits } from './writer.ts'

export type KafkaLogOptions = Partial<WriterLimits> &
  Partial<MemberTimes> & {
    /** `host:port` of some of the cluster's brokers. */
    readonly brokers: readonly string[]
    /** Names this process in Kafka's logs and group members; the same after a restart. */
    readonly clientId: string
    /**
     * Only one process at a time goes by this name, and has one consumer in each group: when it was killed and comes back
     * it has its partitions at once, and not when its session is over.
     */
    readonly keepsSeat?: boolean
    readonly log: Logger
    readonly ssl?: TlsOptions | boolean
    readonly sasl?: Credentials
  }

/** How long `writer` waits to learn that its topic exists; Kafka away is no reason not to open. */
const openMs = 3_000

/**
 * The log on Kafka. Opens at once and connects when there is something to do.
 *
 * What Kafka does when it is away: writers queue up to their bounds and then refuse (`log_unavailable`); followers and
 * consumers wait and go on where they were; `ensure`, `bounds`, `partitions`, `commit` and `committed` throw
 * `log_unavailable` after `answerMs` (`ensure`: after fifteen seconds). A broker that is back is noticed within a second.
 */
export function openKafkaLog(options: KafkaLogOptions): EventLog {
  const { brokers, clientId, ssl, sasl, log } = options
  if (brokers.length === 0) throw new TypeError('a Kafka log needs at least one broker')
  const limits: WriterLimits = { ...writerLimits, ...given(options, writerLimits) }
  const instance = options.keepsSeat === true ? clientId : null
  const times: MemberTimes = { ...memberTimes, ...given(options, memberTimes) }
  const address = {
    brokers,
    clientId,
    log,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
  }
  let attempts = 0
  const open = () => openClient(address, attempts++)
  const session = (topics: readonly string[], what: string): Session => new Session(open, topics, log.child({ what }))

  const asking = session([], 'log')
  const lookup = openLookup(asking, times.answerMs)
  const writers = new Set<Writer>()
  const followers = new Set<Follower>()
  const consumers = new Set<GroupConsumer>()
  let closed = false

  const mustBeOpen = () => {
    if (closed) throw new Fault('log_closed', 'the log is closed')
  }

  return {
    ensure: specs => ensureTopics(open, specs),

    writer: async topic => {
      mustBeOpen()
      const own = session([topic], `writer of ${topic}`)
      try {
        await own.ask(`tell of ${topic}`, openMs, async () => {})
      } catch (error) {
        if (!(error instanceof Fault) || error.code !== 'log_unavailable') {
          own.close()
          throw error
        }
      }
      const writer = openWriter(own, topic, log, limits)
      const close = () => writer.close().finally(() => writers.delete(tracked))
      const tracked: Writer = { ...writer, close }
      writers.add(tracked)
      return tracked
    },

    follow: (topic, how) => {
      mustBeOpen()
      const follower = openFollower(topic, how, session([topic], `follower of ${topic}`), lookup, log)
      followers.add(follower)
      follower.ended.catch(() => {}).finally(() => followers.delete(follower))
      return follower
    },

    consume: (group, topics, worker) => {
      mustBeOpen()
      const sessions = { member: session(topics, `member of ${group}`), reader: session(topics, `reader of ${group}`) }
      const consumer = openConsumer(group, topics, worker, sessions, lookup, times, instance, log)
      consumers.add(consumer)
      consumer.ended.catch(() => {}).finally(() => consumers.delete(consumer))
      return consumer
    },

    commit: async (group, at, mark) => {
      // A member commits under its seat, and Kafka fences it. Without members here, Kafka takes a commit only while the
      // group has none anywhere.
      const members = [...consumers].filter(consumer => consumer.group === group)
      const owner = members.find(member => member.owns(at)) ?? members[0]
      await (owner ? owner.commit(at, mark) : putMark(asking, nobody(group), at, mark, times.answerMs))
    },

    committed: async (group, at) => (await fetchMarks(asking, group, [at], times.answerMs)).get(markKey(at)) ?? null,

    bounds: async at => {
      const bounds = (await lookup.bounds(at.topic, [at.partition])).get(at.partition)
      return bounds ?? { earliest: 0, end: 0 }
    },

    partitions: topic => lookup.partitions(topic),

    close: async () => {
      closed = true
      await Promise.all([...followers, ...consumers, ...writers].map(one => one.close()))
      asking.close()
    },
  }
}

/** Those of the options that are named in the defaults and not left out. */
function given<T extends object>(options: Partial<T>, defaults: T): Partial<T> {
  const named = Object.entries(options).filter(([name, value]) => name in defaults && value !== undefined)
  return Object.fromEntries(named) as Partial<T> // entries of `options`, which is one
}
