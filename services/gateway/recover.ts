import type { AdmissionGranted } from '../../schemas/admission.ts'
import { decodeRaw, type Event } from '../../schemas/events.ts'
import { type Work, work } from '../../schemas/work.ts'
import type { EventLog, LogRecord, Partition } from '../io/log/port.ts'
import type { Queued } from './queued.ts'
import type { Runs } from './runs.ts'

/**
 * What a gateway's next life takes over from the log: calls that were let through and never ended, background answers,
 * and the runs with their conversations and open tool calls. State is a fold; this is where it begins.
 */
export type Admission = AdmissionGranted & { readonly time: number }

/** Two marks in one: how far back an open call may stand, and where the idle time began. */
const group = 'gateway-memory'

/** Some seconds of reading at a start, whatever the traffic was; what stands before is forgotten. */
const maxRecords = 200_000

export async function takeOver(
  log: EventLog,
  at: Partition,
  runs: Runs,
  queued: Queued,
  sinceMs: number,
): Promise<readonly Admission[]> {
  const open = new Map<string, Admission>()
  if (!(await log.partitions(at.topic)).includes(at.partition)) return []
  const { earliest, end } = await log.bounds(at)
  const mark = (await log.committed(group, at))?.offset ?? earliest
  const offset = Math.max(earliest, Math.min(mark, end), end - maxRecords)
  const follower = log.follow(at.topic, {
    from: [{ ...at, offset }],
    partitions: [at.partition],
    onBatch(batch) {
      for (const record of batch.records) fold(read(record))
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  return [...open.values()]

  function fold(event: Event): void {
    const requestId = event.request_id ?? ''
    switch (event.type) {
      case 'admission.granted':
        open.set(requestId, event)
        break
      case 'llm.queued':
        open.delete(requestId)
        queued.remember(event)
        break
      case 'llm.completed':
        open.delete(requestId)
        if (event.response_id !== undefined) queued.forget(event.agent, event.response_id)
        if (event.time >= sinceMs)
          runs.remember(scopeOf(event), {
            work: workIn(event),
            at: event.time,
            mark: event.data?.thread ?? null,
            responseId: event.response_id ?? null,
          })
        break
      case 'tool.called': {
        const { id, source, time, type, ...fields } = event
        if (time < sinceMs) break
        runs.remember(scopeOf(event), { work: workIn(event), at: time, mark: null, responseId: null })
        runs.get(event.run_id)?.calls.call(callIn(event), time, fields)
        break
      }
      case 'tool.returned':
        runs.get(event.run_id)?.calls.answer({ ...callIn(event), content: '', isError: false })
        break
      case 'run.finished':
      case 'run.expired':
        runs.forget(event.run_id)
        break
    }
  }
}

/** Events of this very gateway, written from checked types: they are not checked again. */
const read = (record: LogRecord): Event => decodeRaw(record) as Event

export const scopeOf = (who: { readonly agent: string; readonly key_id?: string | undefined }): string =>
  `${who.agent} ${who.key_id ?? ''}`

const callIn = (event: { readonly tool: string; readonly tool_call_id?: string | undefined }) => ({
  id: event.tool_call_id ?? null,
  name: event.tool,
  args: '',
  by: 'client' as const,
})

/** Takes of an event what is about its work, and nothing else. */
const workIn = (event: Event): Work => work.parse(event)

/** A crash's calls, ended: nobody knows what the provider made of them, so their use is bounded by what they asked for. */
export function crashed(admission: Admission, now: number) {
  const { type, bound_input_tokens, bound_output_tokens, bound_nano_usd, time, ...base } = admission
  const { id, source, ...call } = base as typeof base & { id?: string; source?: string } // the rest of its envelope
  return {
    type: 'llm.completed' as const,
    ...call,
    outcome: 'error' as const,
    reason: 'gateway_crashed',
    error_type: 'gateway_crashed',
    usage_source: 'estimated' as const,
    ...(bound_input_tokens === undefined
      ? {}
      : { input_tokens: Math.max(0, Math.ceil((bound_input_tokens - 2048) / 4)) }),
    ...(bound_output_tokens === undefined ? {} : { output_tokens: bound_output_tokens }),
    latency_ms: Math.max(0, now - time),
  }
}

/**
 * Commits, from time to time, how far back a next life has to read: to the oldest open call, and to the beginning of the
 * idle time.
 */
export function memoryMarks(log: EventLog, at: Partition, idleMs: number) {
  const ends: { readonly time: number; readonly end: number }[] = []
  let latest = -1
  return {
    async move(oldestOpen: number | null, now: number): Promise<void> {
      const { end } = await log.bounds(at)
      ends.push({ time: now, end })
      // The newest sample that is older than the idle time: nothing before it is remembered.
      while (ends.length > 1 && (ends[1]?.time ?? now) <= now - idleMs) ends.shift()
      const begun = ends[0]
      const idle = begun !== undefined && begun.time <= now - idleMs ? begun.end : 0
      const offset = Math.min(oldestOpen ?? end, idle)
      if (offset <= latest) return
      await log.commit(group, at, { offset })
      latest = offset
    },
  }
}
