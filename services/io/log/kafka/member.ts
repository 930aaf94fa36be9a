import kafkajs, { type Cluster } from 'kafkajs'
import type { Logger } from 'pino'
import { Fault, textOf } from '../../fault.ts'
import type { Mark, Partition } from '../port.ts'
import { spread } from './assign.ts'
import { firstWaitMs, lateBy, nextWait, now, pause, unavailable, unless } from './deadline.ts'
import { joinGroup } from './join.ts'
import { fencedOff, fetchMarks, putMark } from './marks.ts'
import { errorType, isFenced, isFinal, peer } from './protocol.ts'
import type { Session } from './session.ts'

export type MemberTimes = {
  /** A member that died without a word loses its partitions after this; brokers allow no less than 6,000 by default. */
  readonly sessionMs: number
  /** How long the group waits for a member to finish its batch and let go, before it goes on without it. */
  readonly rebalanceMs: number
  /** A rebalance is noticed within this. */
  readonly heartbeatMs: number
  /** How long commits, and questions to the log, wait for Kafka before they throw `log_unavailable`. */
  readonly answerMs: number
}

export const memberTimes: MemberTimes = { sessionMs: 10_000, rebalanceMs: 60_000, heartbeatMs: 1_000, answerMs: 10_000 }

/** A member's part in one generation of its group. */
export type Term = {
  readonly partitions: readonly Partition[]
  /** Falls when the partitions are to be let go. `reason` of the signal: 'rebalance', or 'lost' (they are gone already). */
  readonly over: AbortSignal
  /** Kafka refuses what comes from a term that is past (`log_fenced`), whoever owns the partition by then. */
  readonly commit: (at: Partition, mark: Mark) => Promise<void>
  readonly marks: () => Promise<ReadonlyMap<string, Mark>>
  /** Ends the heartbeats. To be called before the next `join`. */
  readonly end: () => void
}

const protocolName = 'sluice-spread'
/** Who is told to stop while joining waits this long to be in, so as to leave properly; else the others wait a session. */
const joinGraceMs = 3_500

/**
 * A seat in a consumer group, by the classic protocol: join, be told the partitions, send heartbeats, let go, join again.
 * In this protocol a rebalance ends every member's term, and the coordinator deals the partitions out anew only when
 * every member has joined again, or `rebalanceMs` is over. So a member that has let go before it joins (as ours does)
 * never meets the next owner at its work.
 */
export class Member {
  readonly #session: Session
  readonly #group: string
  readonly #topics: readonly string[]
  readonly #times: MemberTimes
  #instance: string | null
  readonly #log: Logger
  #id = ''

  /** `instance`: under which the seat is kept for a process that comes back; null: for nobody. */
  constructor(
    session: Session,
    group: string,
    topics: readonly string[],
    times: MemberTimes,
    instance: string | null,
    log: Logger,
  ) {
    this.#session = session
    this.#instance = instance
    this.#group = group
    this.#topics = topics
    this.#times = times
    this.#log = log
  }

  /** Waits for Kafka, and for the group, as long as it takes; null when the signal fell before. */
  async join(signal: AbortSignal): Promise<Term | null> {
    for (let waitMs = firstWaitMs; !signal.aborted; waitMs = nextWait(waitMs)) {
      try {
        const { sessionMs, rebalanceMs } = this.#times
        const attemptMs = rebalanceMs + sessionMs
        const asked = this.#session.ask('join the group', attemptMs, c => this.#join(c), { signal, attemptMs })
        const joined = await unless(lateBy(joinGraceMs, signal), asked)
        return joined && !signal.aborted ? this.#begin(joined) : null
      } catch (error) {
        const type = errorType(error)
        if (type === 'FENCED_INSTANCE_ID') this.#goNameless()
        if (isFenced(type)) this.#id = ''
        else if (type !== 'REBALANCE_IN_PROGRESS' && isFinal(type)) throw error
        else if (error instanceof Fault && error.code === 'topic_unknown') throw error
        await pause(waitMs, signal)
      }
    }
    return null
  }

  /** Two that claim one seat would take it from each other for ever: whoever had it first sits down elsewhere. */
  #goNameless(): void {
    this.#log.warn({ group: this.#group, name: this.#instance }, 'another process goes by the name of this one')
    this.#instance = null
  }

  async #join(cluster: Cluster): Promise<Joined> {
    const broker = await cluster.findGroupCoordinator({ groupId: this.#group })
    const coordinator = peer(broker)
    const asked = {
      groupId: this.#group,
      sessionTimeout: this.#times.sessionMs,
      rebalanceTimeout: this.#times.rebalanceMs,
      memberId: this.#id,
      groupProtocols: [
        {
          name: protocolName,
          metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({
            version: 0,
            topics: [...this.#topics],
            userData: Buffer.alloc(0),
          }),
        },
      ],
    }
    const joined = await joinGroup(broker, asked, this.#instance)
    this.#id = joined.memberId
    const leads = joined.leaderId === joined.memberId
    if (leads) await cluster.refreshMetadata() // partitions added since are dealt out too
    const dealt = leads
      ? spread(
          joined.members.map(({ memberId }) => memberId),
          partitionsOf(cluster, this.#topics),
        )
      : new Map<string, Partition[]>()
    const { memberAssignment } = await coordinator.syncGroup({
      groupId: this.#group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: [...dealt].map(([memberId, partitions]) => ({
        memberId,
        memberAssignment: kafkajs.AssignerProtocol.MemberAssignment.encode({
          version: 0,
          assignment: byTopic(partitions),
          userData: Buffer.alloc(0),
        }),
      })),
    })
    const decoded = kafkajs.AssignerProtocol.MemberAssignment.decode(memberAssignment)
    const mine = Object.entries(decoded?.assignment ?? {}).flatMap(([topic, partitions]) =>
      partitions.map(partition => ({ topic, partition })),
    )
    return { generation: joined.generationId, memberId: joined.memberId, partitions: mine }
  }

  #begin(joined: Joined): Term {
    const { generation, memberId, partitions } = joined
    const over = new AbortController()
    const ended = new AbortController()
    const end = (reason: 'rebalance' | 'lost') => {
      if (over.signal.aborted) return
      this.#log.info({ group: this.#group, generation, reason }, 'the group takes its partitions back')
      over.abort(reason)
    }
    this.#log.info({ group: this.#group, generation, partitions: partitions.length }, 'joined the group')
    void this.#beat(joined, end, ended.signal)
    const as = { group: this.#group, generation, memberId }
    return {
      partitions,
      over: over.signal,
      end: () => ended.abort(),
      marks: () => fetchMarks(this.#session, this.#group, partitions, this.#times.answerMs),
      commit: async (at, mark) => {
        if (ended.signal.aborted || over.signal.reason === 'lost') throw fencedOff(this.#group, at)
        await putMark(this.#session, as, at, mark, this.#times.answerMs)
      },
    }
  }

  /** Keeps the seat. Also while a batch is being worked on, and while partitions are let go: the member is alive. */
  async #beat(joined: Joined, end: (reason: 'rebalance' | 'lost') => void, ended: AbortSignal): Promise<void> {
    const { sessionMs, heartbeatMs } = this.#times
    // One that came back does not hear whether it leads. Whoever does not, and asks to deal anew, changes nothing.
    const known = await this.#count(ended)
    let heardAt = now()
    let countedAt = now()
    while (!ended.aborted) {
      await pause(heartbeatMs, ended)
      if (ended.aborted) return
      try {
        await this.#session.ask('take a heartbeat', heardAt + sessionMs - now(), c => this.#heartbeat(c, joined), {
          signal: ended,
        })
        heardAt = now()
      } catch (error) {
        const type = errorType(error)
        if (type === 'REBALANCE_IN_PROGRESS') {
          heardAt = now()
          end('rebalance')
        } else if (isFenced(type)) return end('lost')
        else if (isFinal(type)) this.#log.error({ err: error }, `heartbeat: ${textOf(error)}`)
        // Nobody has heard from us for a whole session: others may own the partitions by now, whatever we believe.
        if (now() - heardAt >= sessionMs) return end('lost')
      }
      if (known === null || now() - countedAt < 60_000) continue
      countedAt = now()
      if ((await this.#count(ended)) !== known) end('rebalance') // partitions were added: to be dealt out
    }
  }

  async #heartbeat(cluster: Cluster, { generation, memberId }: Joined): Promise<void> {
    const coordinator = peer(await cluster.findGroupCoordinator({ groupId: this.#group }))
    await coordinator.heartbeat({ groupId: this.#group, groupGenerationId: generation, memberId })
  }

  async #count(signal: AbortSignal): Promise<number | null> {
    const count = this.#session.ask('give metadata', 5_000, async c => partitionsOf(c, this.#topics).length, { signal })
    return count.catch(() => null)
  }

  /** Gives the seat up, so that the group need not wait for it. Kafka away: then the group finds out by itself. */
  async leave(): Promise<void> {
    if (this.#id === '') return
    const memberId = this.#id
    this.#id = ''
    try {
      await this.#session.ask('let the member go', 1_000, async cluster => {
        const coordinator = peer(await cluster.findGroupCoordinator({ groupId: this.#group }))
        await coordinator.leaveGroup({ groupId: this.#group, memberId })
      })
    } catch (error) {
      this.#log.debug({ err: error, group: this.#group }, 'left the group without its consent')
    }
  }
}

type Joined = {
  readonly generation: number
  readonly memberId: string
  readonly partitions: readonly Partition[]
}

function partitionsOf(cluster: Cluster, topics: readonly string[]): readonly Partition[] {
  const found = topics.flatMap(topic =>
    cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })),
  )
  if (found.length === 0) throw unavailable(`no partitions of ${topics.join(', ')} are known yet`)
  return found
}

function byTopic(partitions: readonly Partition[]): Record<string, number[]> {
  const topics: Record<string, number[]> = {}
  for (const { topic, partition } of partitions) {
    const own = topics[topic]
    if (own) own.push(partition)
    else topics[topic] = [partition]
  }
  return topics
}
