import type { Cluster } from 'kafkajs'
import type { Logger } from 'pino'
import { Fault } from '../../fault.ts'
import type { Batch, LogRecord, Partition } from '../port.ts'
import { firstWaitMs, nextWait, now, pause, unless, untilFallen, within } from './deadline.ts'
import { errorType, type Fetched, peer } from './protocol.ts'
import type { Session } from './session.ts'

/** Where the reading of a partition stands: the offset it asks for next. */
export type Cursor = Partition & { next: number }

export type Reading = {
  readonly session: Session
  readonly log: Logger
  readonly cursors: readonly Cursor[]
  /** One at a time, whatever the number of brokers; the next fetch of a partition comes after it. A throw ends the reading. */
  readonly deliver: (batch: Batch) => Promise<void> | void
  /** After each answer for a partition, delivered or empty. */
  readonly passed?: (cursor: Cursor, end: number) => void
  /** Ends of the partitions, asked over another connection: is there something to read where we read nothing? */
  readonly ends: (cursors: readonly Cursor[]) => Promise<readonly number[]>
  readonly signal: AbortSignal
  readonly stuckMs?: number
}

/** Kafka answers at once when there is something; this only bounds how long an idle request stays open. */
const idleWaitMs = 250
/** A fetch must be answered this long after its wait, or the connection is taken for dead. */
const fetchMs = idleWaitMs + 10_000
const maxPartitionBytes = 1 << 20
const maxAnswerBytes = 4 << 20 // some 3,000 events: decoding them holds the event loop for about 10 ms
const lanesMs = 60_000 // leaders are looked up anew this often, should a move have gone unnoticed
const strayMs = 300 // between looks for the new leader of a lane whose broker is gone
const usualStuckMs = 30_000
const strikes = 3

/**
 * Reads partitions from their cursors on, until the signal falls: one lane per leading broker, each with one fetch under
 * way, all rebuilt when one fails. Resolves after the last delivery has settled. Rejects with what `deliver` threw, with
 * `log_truncated` (the log ends before the cursor) or with `log_stuck`.
 *
 * Kafka away is not an end: it tries again for as long as it takes. Kafka there, with records after the cursor that do
 * not come, is: `stuckMs` without movement makes a new connection, the third time in a row ends the reading.
 */
export async function read(reading: Reading): Promise<void> {
  const { session, signal } = reading
  if (reading.cursors.length === 0) return untilFallen(signal)
  const over = new AbortController()
  const fall = () => over.abort()
  signal.addEventListener('abort', fall)
  if (signal.aborted) over.abort()
  const state: State = { ...reading, turn: Promise.resolve(), movedAt: now(), delivering: false, alone: null }
  let stuck: Fault | null = null
  const watching = watch(state, over.signal).then(fault => {
    stuck = fault
    over.abort()
  })
  try {
    for (let waitMs = firstWaitMs; !over.signal.aborted; ) {
      try {
        await lanes(state, over.signal)
        waitMs = firstWaitMs
      } catch (error) {
        if (isEnd(error)) throw error instanceof Undelivered ? error.cause : error
        if (over.signal.aborted) break
        await session.failed(error)
        await pause(waitMs, over.signal)
        waitMs = nextWait(waitMs)
      }
    }
  } finally {
    over.abort()
    signal.removeEventListener('abort', fall)
    await watching
  }
  if (stuck && !signal.aborted) throw stuck
}

type State = Reading & {
  turn: Promise<unknown>
  movedAt: number
  delivering: boolean
  /** A partition whose answer was empty although there is more: asked for by itself, an empty answer is the truth. */
  alone: Cursor | null
}

/** What the reader's user threw, told apart from what the network threw. */
class Undelivered extends Error {}

/** No use in trying again. */
const isEnd = (error: unknown): boolean =>
  error instanceof Undelivered || (error instanceof Fault && error.code === 'log_truncated')

async function lanes(state: State, signal: AbortSignal): Promise<void> {
  const topics = [...new Set(state.cursors.map(({ topic }) => topic))]
  const cluster = await within(fetchMs, 'connect', unless(signal, state.session.cluster(topics)))
  if (!cluster) return
  const led = new Map<string, Cursor[]>()
  for (const cursor of state.cursors) {
    const [leader] = Object.keys(cluster.findLeaderForPartitions(cursor.topic, [cursor.partition]))
    if (leader === undefined) throw new Error(`${cursor.topic}/${cursor.partition} has no leader`)
    led.set(leader, [...(led.get(leader) ?? []), cursor])
  }
  const stop = new AbortController()
  const fall = () => stop.abort()
  signal.addEventListener('abort', fall)
  const until = now() + lanesMs
  try {
    const ends = await Promise.allSettled(
      [...led].map(async ([leader, cursors]) => {
        try {
          while (!stop.signal.aborted && now() < until) await step(state, cluster, leader, cursors, stop.signal)
        } catch (error) {
          if (isEnd(error) || led.size === 1) throw error
          // One broker of several: the others' partitions go on being read while its own find a new leader.
          await pause(strayMs, stop.signal)
          await state.session.look(error)
        } finally {
          stop.abort()
        }
      }),
    )
    const reasons = ends.flatMap(end => (end.status === 'rejected' ? [end.reason] : []))
    if (reasons.length > 0) throw reasons.find(isEnd) ?? reasons[0]
  } finally {
    signal.removeEventListener('abort', fall)
  }
}

async function step(
  state: State,
  cluster: Cluster,
  leader: string,
  led: readonly Cursor[],
  signal: AbortSignal,
): Promise<void> {
  const asked = state.alone && led.includes(state.alone) ? [state.alone] : led
  const broker = await within(fetchMs, 'connect', cluster.findBroker({ nodeId: leader }))
  const answering = peer(broker).fetch({
    maxWaitTime: idleWaitMs,
    minBytes: 1,
    maxBytes: maxAnswerBytes,
    isolationLevel: 0, // up to the high-water mark; nobody here writes in transactions
    topics: asked.map(({ topic, partition, next }) => ({
      topic,
      partitions: [{ partition, fetchOffset: String(next), maxBytes: maxPartitionBytes }],
    })),
  })
  try {
    const answer = await within(fetchMs, 'answer a fetch', unless(signal, answering))
    if (!answer) return
    state.session.worked()
    for (const { topicName, partitions } of answer.responses) {
      for (const fetched of partitions) {
        const cursor = asked.find(c => c.topic === topicName && c.partition === fetched.partition)
        if (cursor) await take(state, cursor, fetched, asked.length === 1, signal)
        if (signal.aborted) return
      }
    }
  } catch (error) {
    if (errorType(error) !== 'OFFSET_OUT_OF_RANGE') throw error
    for (const cursor of asked) await comeBack(state, cluster, cursor)
  }
}

async function take(
  state: State,
  cursor: Cursor,
  fetched: Fetched,
  alone: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { topic, partition } = cursor
  const first = cursor.next
  const records: LogRecord[] = []
  let next = first
  for (const message of fetched.messages) {
    const offset = Number(message.offset)
    if (offset < first) continue // a batch is stored, and sent, as a whole
    next = offset + 1
    if (message.isControlRecord !== true) records.push(toRecord(message, offset))
  }
  // The broker looks at its mark before it reads: by then there may have been more below it.
  const end = Math.max(Number(fetched.highWatermark), next)
  if (records.length > 0 && !(await inTurn(state, () => state.deliver({ topic, partition, records, end }), signal)))
    return
  if (next === first && next < end) {
    // Nothing, although there is more. Either the answer was full, or compaction left an empty batch here, which
    // kafkajs does not show; only a request for this partition alone tells. Past an empty batch we go step by step.
    if (alone) next++
    else state.alone = cursor
  } else if (state.alone === cursor) state.alone = null
  if (next !== first || next >= end) state.movedAt = now()
  cursor.next = next
  state.passed?.(cursor, end)
}

/** Deliveries follow each other, also over several brokers. One that has not begun when the signal falls is left out. */
async function inTurn(state: State, deliver: () => Promise<void> | void, signal: AbortSignal): Promise<boolean> {
  const mine = state.turn.then(async () => {
    if (signal.aborted) return false
    state.delivering = true
    try {
      await deliver()
    } catch (cause) {
      throw new Undelivered('not delivered', { cause })
    } finally {
      state.delivering = false
      state.movedAt = now()
    }
    return true
  })
  state.turn = mine.catch(() => {})
  return mine
}

/** Retention may have overtaken a slow reader: go on at what is left, and say what is missing. */
async function comeBack(state: State, cluster: Cluster, cursor: Cursor): Promise<void> {
  const { topic, partition, next } = cursor
  const ask = async (fromBeginning: boolean): Promise<number> => {
    const found = await cluster.fetchTopicsOffset([{ topic, partitions: [{ partition }], fromBeginning }])
    return Number(found[0]?.partitions[0]?.offset)
  }
  const [earliest, end] = [await ask(true), await ask(false)]
  if (next >= earliest && next <= end) return
  if (next > end) {
    throw new Fault('log_truncated', `${topic}/${partition} ends at ${end}, before ${next}: it is not the log it was`)
  }
  state.log.warn({ topic, partition, from: next, to: earliest }, 'records were deleted before they were read')
  cursor.next = earliest
}

async function watch(state: State, signal: AbortSignal): Promise<Fault | null> {
  const stuckMs = state.stuckMs ?? usualStuckMs
  let struck = 0
  let seenAt = state.movedAt
  for (;;) {
    await pause(stuckMs / 2, signal)
    if (signal.aborted) return null
    if (state.movedAt !== seenAt) {
      struck = 0
      seenAt = state.movedAt
    }
    if (state.delivering || now() - state.movedAt < stuckMs * (struck + 1)) continue
    const ends = await unless(signal, state.ends(state.cursors)).catch(() => null)
    if (!ends || state.movedAt !== seenAt || !state.cursors.some((cursor, i) => cursor.next < (ends[i] ?? 0))) continue
    struck++
    const still = { stillMs: Math.round(now() - state.movedAt), time: struck }
    state.log.warn(still, 'Kafka has records that do not reach this reader')
    if (struck >= strikes) return new Fault('log_stuck', `no record in ${still.stillMs} ms although Kafka has some`)
    state.session.reset()
  }
}

function toRecord(message: Fetched['messages'][number], offset: number): LogRecord {
  const headers: Record<string, string> = {}
  for (const name in message.headers) {
    const value = message.headers[name]
    const one = Array.isArray(value) ? value[0] : value
    if (one !== undefined) headers[name] = one.toString()
  }
  return { offset, key: message.key?.toString() ?? null, headers, value: message.value ?? Buffer.alloc(0) }
}
