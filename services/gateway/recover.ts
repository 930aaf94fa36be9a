import type { AdmissionGranted } from '../../schemas/admission.ts'
import { decodeRaw, type Event } from '../../schemas/events.ts'
import type { EventLog, LogRecord, Partition } from '../io/log/port.ts'
import type { FormerCall } from './last-words.ts'
import { type Memory, memoryGroup, remember } from './memory.ts'

/**
 * What a gateway's next life takes over from the log: calls that were let through and never ended, background answers,
 * and the runs with their conversations and open tool calls. State is a fold; this is where it begins.
 */
export type Admission = AdmissionGranted & { readonly time: number }

export type Former = {
  /** Calls that never ended. */
  readonly orphans: readonly Admission[]
  /** Those that go on in the background, by request: where their admission stands. */
  readonly waiting: ReadonlyMap<string, number>
  /** Calls for which money was held, as far back as was read. */
  readonly calls: readonly FormerCall[]
}

type Held = Pick<FormerCall, 'nodes' | 'epoch' | 'costNanoUsd'>

/** Some seconds of reading at a start, whatever the traffic was; what stands before is forgotten. */
const maxRecords = 200_000

export async function takeOver(log: EventLog, at: Partition, memory: Memory, sinceMs: number): Promise<Former> {
  const open = new Map<string, Admission>()
  /** Where they stand; of those in the background too. */
  const begun = new Map<string, number>()
  const held = new Map<string, Held>()
  const calls: FormerCall[] = []
  if (!(await log.partitions(at.topic)).includes(at.partition)) return { orphans: [], waiting: begun, calls }
  const { earliest, end } = await log.bounds(at)
  const mark = (await log.committed(memoryGroup, at))?.offset ?? earliest
  const offset = Math.max(earliest, Math.min(mark, end), end - maxRecords)
  const follower = log.follow(at.topic, {
    from: [{ ...at, offset }],
    partitions: [at.partition],
    onBatch(batch) {
      for (const record of batch.records) fold(read(record), record.offset)
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  for (const [requestId, hold] of held)
    calls.push({ ...hold, requestId, isQueued: !open.has(requestId), wasOpen: open.has(requestId), endedAt: null })
  for (const requestId of open.keys()) begun.delete(requestId)
  return { orphans: [...open.values()], waiting: begun, calls }

  function fold(event: Event, offset: number): void {
    const requestId = event.request_id ?? ''
    // Asking for an answer in the background ends what began it, or nothing: it has no end of its own, and costs nothing.
    if (event.type === 'admission.granted' && event.operation !== 'retrieve') {
      open.set(requestId, event)
      begun.set(requestId, offset)
      if (event.data !== undefined) held.set(requestId, { ...event.data, costNanoUsd: event.bound_nano_usd ?? 0 })
    } else if (event.type === 'llm.completed' || event.type === 'admission.settled') {
      open.delete(requestId)
      begun.delete(requestId)
      const hold = held.get(requestId)
      const isHere = event.type === 'llm.completed'
      const costNanoUsd = (isHere ? event.cost_nano_usd : event.data.cost_nano_usd) ?? 0
      if (hold !== undefined)
        calls.push({
          ...hold,
          requestId,
          isQueued: false,
          wasOpen: isHere && event.reason === crashedReason,
          costNanoUsd,
          endedAt: offset,
        })
      held.delete(requestId)
    } else if (event.type === 'llm.queued') open.delete(requestId)
    remember(memory, event, true, sinceMs)
  }
}

const crashedReason = 'gateway_crashed'

/** Events of this very gateway, written from checked types: they are not checked again. */
const read = (record: LogRecord): Event => decodeRaw(record) as Event

/** A crash's calls, ended: nobody knows what the provider made of them, so their use is bounded by what they asked for. */
export function crashed(admission: Admission, now: number) {
  const { type, bound_input_tokens, bound_output_tokens, bound_nano_usd, data, time, ...base } = admission
  const { id, source, ...call } = base as typeof base & { id?: string; source?: string } // the rest of its envelope
  return {
    type: 'llm.completed' as const,
    ...call,
    outcome: 'error' as const,
    reason: crashedReason,
    error_type: crashedReason,
    usage_source: 'estimated' as const,
    ...(bound_input_tokens === undefined
      ? {}
      : { input_tokens: Math.max(0, Math.ceil((bound_input_tokens - 2048) / 4)) }),
    ...(bound_output_tokens === undefined ? {} : { output_tokens: bound_output_tokens }),
    // All that it can have cost is spent, as far as anybody knows.
    ...(data === undefined ? {} : { cost_nano_usd: bound_nano_usd ?? 0, price_version: 'bound' }),
    latency_ms: Math.max(0, now - time),
  }
}

/**
 * Commits, from time to time, how far back a next life has to read: to the oldest open call, and to the beginning of the
 * idle time.
 */
export function memoryMarks(log: EventLog, at: Partition, idleMs: number) {
  const ends: { readonly time: number; readonly end: number }[] = []
  let latest: number | null = null
  return {
    async move(oldestOpen: number | null, now: number): Promise<void> {
      // What a former life marked still holds: all that stands before it was done with then.
      latest ??= (await log.committed(memoryGroup, at))?.offset ?? -1
      const { end } = await log.bounds(at)
      ends.push({ time: now, end })
      // The newest sample that is older than the idle time: nothing before it is remembered.
      while (ends.length > 1 && (ends[1]?.time ?? now) <= now - idleMs) ends.shift()
      const begun = ends[0]
      const idle = begun !== undefined && begun.time <= now - idleMs ? begun.end : 0
      const offset = Math.min(oldestOpen ?? end, idle)
      if (offset <= latest) return
      await log.commit(memoryGroup, at, { offset })
      latest = offset
    },
  }
}
