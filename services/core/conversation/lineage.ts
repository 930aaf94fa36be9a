import type { RunSource } from '../../../schemas/work.ts'

/** Request headers as Node gives them: lower-case names, repeated ones joined. */
export type HeaderView = Readonly<Record<string, string | readonly string[] | undefined>>

/** Which run a request says it belongs to, and how it said so. */
export type RunClaim = { readonly runId: string; readonly source: RunSource }

/** What a caller tells of its work by headers. Nothing here is an authorization: it only files the work. */
export type Told = {
  readonly claim: RunClaim | null
  readonly parentRunId: string | null
  readonly task: string | null
  readonly user: string | null
  readonly session: string | null
  readonly labels: Readonly<Record<string, string>> | null
  /** From `traceparent`: 32 and 16 hex digits. */
  readonly traceId: string | null
  readonly parentSpanId: string | null
}

/** Headers with which other gateways' clients name a trace or session; the first that is there counts. */
const peerHeaders = [
  'x-portkey-trace-id',
  'x-litellm-trace-id',
  'x-litellm-session-id',
  'helicone-session-id',
  'langfuse_trace_id',
  'langfuse_session_id',
] as const

const limits = {
  /** Longer than any trace or session id in use, short enough to be a key. */
  idLength: 200,
  textLength: 500,
  labels: 32,
}

export function told(headers: HeaderView): Told {
  const trace = traceOf(one(headers['traceparent']))
  const baggage = one(headers['baggage'])
  return {
    claim: claimed(headers, baggage, trace),
    parentRunId: idOf(one(headers['x-sluice-parent-run-id'])) ?? idOf(baggageEntry(baggage, 'sluice.parent.run.id')),
    task: textOf(one(headers['x-sluice-task'])),
    user: textOf(one(headers['x-sluice-user'])),
    session: textOf(one(headers['x-sluice-session'])),
    labels: labelsOf(one(headers['x-sluice-labels'])),
    traceId: trace?.traceId ?? null,
    parentSpanId: trace?.spanId ?? null,
  }
}

/** The ladder of identity as far as headers go, strongest first. */
function claimed(headers: HeaderView, baggage: string | null, trace: Trace | null): RunClaim | null {
  const own = idOf(one(headers['x-sluice-run-id']))
  if (own !== null) return { runId: own, source: 'header' }
  const carried = idOf(baggageEntry(baggage, 'sluice.run.id'))
  if (carried !== null) return { runId: carried, source: 'baggage' }
  for (const name of peerHeaders) {
    const peer = idOf(one(headers[name]))
    if (peer !== null) return { runId: peer, source: 'peer-header' }
  }
  if (trace !== null) return { runId: trace.traceId, source: 'traceparent' }
  return null
}

/** Whether a text can be a run's id: visible ASCII, no longer than 200. */
export const isRunId = (text: string): boolean => text.length <= limits.idLength && /^[\x21-\x7e]+$/.test(text)

const one = (value: string | readonly string[] | undefined): string | null =>
  value === undefined ? null : typeof value === 'string' ? value : (value[0] ?? null)
const idOf = (text: string | null): string | null => (text !== null && isRunId(text.trim()) ? text.trim() : null)
const textOf = (text: string | null): string | null =>
  text === null || text === '' ? null : text.slice(0, limits.textLength)

type Trace = { readonly traceId: string; readonly spanId: string }

/** W3C Trace Context: of an unknown version the first four fields are read; all-zero ids are none. */
function traceOf(text: string | null): Trace | null {
  const match =
    text === null ? null : /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/.exec(text.trim())
  const [, version, traceId, spanId, rest] = match ?? []
  if (traceId === undefined || spanId === undefined || version === 'ff' || (version === '00' && rest !== undefined))
    return null
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? null : { traceId, spanId }
}

/** W3C Baggage: `k=v;property, k=v`, values percent-encoded. */
function baggageEntry(text: string | null, name: string): string | null {
  if (text === null || text.length > 8192) return null
  for (const member of text.split(',')) {
    const [pair = ''] = member.split(';', 1)
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return decoded(pair.slice(at + 1).trim())
  }
  return null
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null // not percent-encoding: then it is not baggage
  }
}

function labelsOf(text: string | null): Readonly<Record<string, string>> | null {
  if (text === null || text.length > 8192) return null
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
    const pairs = Object.entries(value).filter((pair): pair is [string, string | number | boolean] =>
      ['string', 'number', 'boolean'].includes(typeof pair[1]),
    )
    return Object.fromEntries(
      pairs
        .slice(0, limits.labels)
        .map(([name, label]) => [name.slice(0, 100), String(label).slice(0, limits.textLength)]),
    )
  } catch {
    return null // a label that cannot be read is no reason to refuse work
  }
}
