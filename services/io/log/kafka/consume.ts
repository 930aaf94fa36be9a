import type { Logger } from 'pino'
import { Fault } from '../../fault.ts'
import type { Consumer, Mark, Partition, Worker } from '../port.ts'
import { inTime, orElse, patiently } from './deadline.ts'
import type { Lookup } from './lookup.ts'
import { fencedOff, markKey } from './marks.ts'
import { Member, type MemberTimes, type Term } from './member.ts'
import { type Cursor, read } from './reader.ts'
import type { Session } from './session.ts'

/** A worker that takes longer than this over one thing is not coming back, as far as anyone can tell: it is given up. */
const workMs = 300_000
/** How long `close` waits for the batch under way and the letting go. */
const closeMs = 10_000

export type GroupConsumer = Consumer & {
  readonly group: string
  readonly owns: (at: Partition) => boolean
  /** Throws `log_fenced` for a partition that is not this member's. */
  readonly commit: (at: Partition, mark: Mark) => Promise<void>
}

/**
 * A member of a group at work: join, take over, read, let go, and again.
 *
 * What is guaranteed: when the group rebalances, no batch begins any more, the one under way is waited for, then
 * `revoked` for each partition, and only then does this member join again, which is what the other members wait for.
 * Where that takes longer than the group's patience (`rebalanceMs`), or this process is cut off from Kafka for a
 * session, another member may begin before: then this one's commits fail with `log_fenced`, and effects elsewhere must
 * be safe to repeat. A partition that stays is revoked and assigned again all the same.
 */
export function openConsumer(
  group: string,
  topics: readonly string[],
  worker: Worker,
  sessions: { readonly member: Session; readonly reader: Session },
  lookup: Lookup,
  times: MemberTimes,
  instance: string | null,
  log: Logger,
): GroupConsumer {
  const stop = new AbortController()
  const member = new Member(sessions.member, group, topics, times, instance, log)
  const owned = new Map<string, { readonly at: Partition; readonly term: Term }>()

  async function run(): Promise<void> {
    try {
      while (!stop.signal.aborted) {
        const term = await member.join(stop.signal)
        if (!term) return
        try {
          await serve(term)
        } finally {
          term.end()
        }
      }
    } finally {
      await member.leave()
    }
  }

  async function serve(term: Term): Promise<void> {
    const signal = AbortSignal.any([stop.signal, term.over])
    try {
      await read({
        session: sessions.reader,
        log,
        cursors: await takeOver(term, signal),
        deliver: batch => patient('working on a batch', worker.onBatch(batch)),
        ends: lookup.ends,
        signal,
      })
    } finally {
      await letGo()
    }
  }

  /** All at once: each may wait some seconds for a Kafka that is away, and the group waits for the sum. */
  async function letGo(): Promise<void> {
    const ends = await Promise.allSettled(
      [...owned].map(async ([key, { at }]) => {
        try {
          await patient(`letting go of ${key}`, worker.revoked(at))
        } finally {
          owned.delete(key)
        }
      }),
    )
    const failed = ends.find(end => end.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  const patient = async <T>(what: string, work: Promise<T> | T): Promise<T> =>
    orElse(workMs, () => new Fault('worker_stuck', `${group}: ${what} took over ${workMs} ms`), Promise.resolve(work))

  async function takeOver(term: Term, signal: AbortSignal): Promise<readonly Cursor[]> {
    const marks = await patiently(() => term.marks(), signal)
    const cursors: Cursor[] = []
    for (const at of marks ? term.partitions : []) {
      if (signal.aborted) break
      owned.set(markKey(at), { at, term })
      const starting = worker.assigned(at, marks?.get(markKey(at)) ?? null)
      cursors.push({ ...at, next: await patient(`taking over ${markKey(at)}`, starting) })
    }
    return cursors
  }

  const ended = run()
  const hangUp = () => {
    sessions.member.close()
    sessions.reader.close()
  }
  const gone = ended.catch(() => {}).finally(hangUp)
  return {
    group,
    owns: at => owned.has(markKey(at)),
    ended,
    commit: async (at, mark) => {
      const term = owned.get(markKey(at))?.term
      if (!term) throw fencedOff(group, at)
      await term.commit(at, mark)
    },
    close: async () => {
      stop.abort()
      if (await inTime(closeMs, gone)) return
      log.warn({ group, closeMs }, 'the consumer was closed while its last batch is still being worked on')
      hangUp()
    },
  }
}
