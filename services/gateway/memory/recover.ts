import type { AdmissionContinued, AdmissionGranted } from '../../../schemas/admission.ts'
import { decodeRaw, type Event } from '../../../schemas/events.ts'
import type { EventLog, LogRecord, Partition } from '../../io/log/port.ts'
import type { FormerCall } from '../money/last-words.ts'
import { openCallOf, readBack } from './carry.ts'
import { type Memory, memoryGroup, remember } from './memory.ts'
import type { OpenCall } from './open-calls.ts'

/**
 * What a gateway's next life takes over from the log: calls that were let through and never ended, background answers,
 * and the runs with their conversations and open tool calls. State is a fold; this is where it begins.
 */
export type Admission = (AdmissionGranted | AdmissionContinued) & { readonly time: number }

export type Former = {
  /** Calls that never ended. */
  readonly orphans: readonly Admission[]
  /** Those that go on in the background, in the order in which they were last told, and where that was. */
  readonly waiting: readonly { readonly offset: number; readonly call: OpenCall }[]
  /** Calls for which money was held, as far back as was read. */
  readonly calls: readonly FormerCall[]
}

/** Of runs that nobody has called for more records than are read back nothing is remembered. */
export async function takeOver(
  log: EventLog,
  at: Partition,
  memory: Memory,
  sinceMs: number,
  records = readBack.records,
): Promise<Former> {
  /** In the order in which they were last told. */
  const begun = new Map<string, Begun>()
  const calls: FormerCall[] = []
  if (!(await log.partitions(at.topic)).includes(at.partition)) return { orphans: [], waiting: [], calls }
  const { earliest, end } = await log.bounds(at)
  const mark = (await log.committed(memoryGroup, at))?.offset ?? earliest
  const offset = Math.max(earliest, Math.min(mark, end), end - records)
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
  const [waiting = [], open = []] = [true, false].map(isQueued =>
    [...begun.values()].filter(it => it.isQueued === isQueued),
  )
  for (const { admission, isQueued } of begun.values()) paid(admission, { isQueued, wasOpen: !isQueued, endedAt: null })
  return {
    orphans: open.map(({ admission }) => admission),
    waiting: waiting.map(({ admission, offset }) => ({ offset, call: openCallOf(admission) })),
    calls,
  }

  function fold(event: Event, offset: number): void {
    const requestId = event.request_id ?? ''
    const before = begun.get(requestId)
    switch (event.type) {
      case 'admission.granted':
      case 'admission.continued': {
        // Asking for an answer in the background ends what began it, or nothing: it has no end of its own, and costs nothing.
        if (event.operation === 'retrieve') break
        const isQueued = event.type === 'admission.continued' && event.response_id !== undefined
        begun.delete(requestId)
        begun.set(requestId, { admission: event, offset, isQueued: isQueued || before?.isQueued === true })
        break
      }
      case 'llm.queued':
        if (before !== undefined) begun.set(requestId, { ...before, isQueued: true })
        break
      case 'llm.completed':
      case 'admission.settled': {
        begun.delete(requestId)
        const isHere = event.type === 'llm.completed'
        const wasOpen = isHere && event.reason === crashedReason
        const costNanoUsd = (isHere ? event.cost_nano_usd : event.data.cost_nano_usd) ?? 0
        if (before !== undefined) paid(before.admission, { isQueued: false, wasOpen, endedAt: offset, costNanoUsd })
      }
    }
    remember(memory, event, true, sinceMs)
  }

  /** Where money was held for it. */
  function paid(
    admission: Admission,
    how: Omit<FormerCall, 'requestId' | 'nodes' | 'epoch' | 'costNanoUsd'> & Cost,
  ): void {
    if (admission.data === undefined) return
    const { nodes, epoch } = admission.data
    const { request_id: requestId = '', bound_nano_usd: costNanoUsd = 0 } = admission
    calls.push({ requestId, nodes, epoch, costNanoUsd, ...how })
  }
}

type Begun = { readonly admission: Admission; readonly offset: number; readonly isQueued: boolean }
/** Its bound, where it is not known. */
type Cost = { readonly costNanoUsd?: number }

const crashedReason = 'gateway_crashed'

/** Events of this very gateway, written from checked types: they are not checked again. */
const read = (record: LogRecord): Event => decodeRaw(record) as Event

/** A crash's calls, ended: nobody knows what the provider made of them, so their use is bounded by what they asked for. */
export function crashed(admission: Admission, now: number) {
  const { type, bound_input_tokens, bound_output_tokens, bound_nano_usd, data, time, ...base } = admission
  const before = admission.type === 'admission.continued' ? (admission.latency_ms ?? 0) : 0
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
    latency_ms: before + Math.max(0, now - time),
  }
}

/**
 * Commits, from time to time, how far back a next life has to read: to the oldest open call, and to the beginning of the
 * idle time, which may become another; what was done with stays so.
 */
export function memoryMarks(log: EventLog, at: Partition, idleMs: () => number) {
  const ends: { readonly time: number; readonly end: number }[] = []
  let latest: number | null = null
  return {
    async move(oldestOpen: number | null, now: number): Promise<void> {
      // What a former life marked still holds: all that stands before it was done with then.
      latest ??= (await log.committed(memoryGroup, at))?.offset ?? -1
      const { end } = await log.bounds(at)
      ends.push({ time: now, end })
      const since = now - idleMs()
      // The newest sample that is older than the idle time: nothing before it is remembered.
      while (ends.length > 1 && (ends[1]?.time ?? now) <= since) ends.shift()
      const begun = ends[0]
      const idle = begun !== undefined && begun.time <= since ? begun.end : 0
      const offset = Math.min(oldestOpen ?? end, idle)
      if (offset <= latest) return
      await log.commit(memoryGroup, at, { offset })
      latest = offset
    },
  }
}
