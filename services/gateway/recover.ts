import type { AdmissionGranted } from '../../schemas/admission.ts'
import { decode, type Event } from '../../schemas/events.ts'
import type { LlmQueued } from '../../schemas/llm.ts'
import type { EventLog, Partition } from '../io/log/port.ts'

/** What a former life of this gateway left behind. */
export type LeftBehind = {
  /** Calls that were let through and never ended: whoever made them died over them. */
  readonly open: readonly (AdmissionGranted & { readonly admittedAt: number })[]
  readonly queued: readonly LlmQueued[]
}

const group = 'gateway-recovery'

/**
 * Reads this gateway's own partition from its last mark to its end. The mark is kept near the end by `keepMark`, so a
 * start reads seconds of log, not months.
 */
export async function leftBehind(log: EventLog, at: Partition): Promise<LeftBehind> {
  const open = new Map<string, AdmissionGranted & { readonly admittedAt: number }>()
  const queued = new Map<string, LlmQueued>()
  if (!(await log.partitions(at.topic)).includes(at.partition)) return { open: [], queued: [] }
  const mark = await log.committed(group, at)
  const follower = log.follow(at.topic, {
    from: mark === null ? 'earliest' : [{ ...at, offset: mark.offset }],
    partitions: [at.partition],
    onBatch(batch) {
      for (const record of batch.records) {
        const read = decode(record)
        if ('event' in read) fold(read.event)
      }
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  return { open: [...open.values()], queued: [...queued.values()] }

  function fold(event: Event): void {
    const id = 'request_id' in event ? (event.request_id ?? '') : ''
    if (event.type === 'admission.granted') open.set(id, { ...event, admittedAt: event.time })
    else if (event.type === 'llm.completed') {
      open.delete(id)
      if (event.response_id !== undefined) queued.delete(event.response_id)
    } else if (event.type === 'llm.queued') {
      open.delete(id)
      queued.set(event.response_id, event)
    } else if (event.type === 'admission.refused') open.delete(id)
  }
}

/** A crash's calls, ended: nobody knows what the provider made of them, so their use is bounded by what they asked for. */
export function crashed(admission: AdmissionGranted & { readonly admittedAt: number }, now: number) {
  const { type, bound_input_tokens, bound_output_tokens, bound_nano_usd, admittedAt, ...base } = admission
  const { id, source, time, ...call } = base as typeof base & { id?: string; source?: string; time?: number } // an event's envelope
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
    latency_ms: Math.max(0, now - admittedAt),
  }
}

/** Commits, from time to time, how far back a next life would have to read. */
export async function keepMark(log: EventLog, at: Partition, oldestOpenOffset: number): Promise<void> {
  await log.commit(group, at, { offset: oldestOpenOffset })
}
