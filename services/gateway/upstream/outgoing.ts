import type { Call } from '../call.ts'
import type { Target } from '../policy/policies.ts'
import type { Addressed, AnswerHead, Meter, Prepared } from '../protocols/protocol.ts'
import type { Outgoing } from './forward.ts'
import { towardsClient, towardsProvider } from './headers.ts'
import { unread } from './unread.ts'

/** What goes out for a call, target by target, and what of the answer goes back. */
export function outgoing(call: Call, timeoutMs: number, raw: readonly string[], limit: number | null = null): Outgoing {
  const { door, ask } = call
  const { protocol, matched } = door
  const opaque = matched.route.shape === 'passthrough'
  const body = limit === null ? call.body : (protocol.withLimit(matched, ask, call.body, limit) ?? call.body)
  const prepared: Prepared = opaque ? { bytes: body, hideUsage: false } : protocol.prepare(matched, ask, body)

  const addressed = (target: Target): Addressed =>
    target.model === null
      ? { bytes: prepared.bytes, upstreamPath: matched.upstreamPath }
      : protocol.withModel(matched, prepared.bytes, target.model)

  return {
    stream: ask.stream,
    request(target) {
      const { bytes, upstreamPath } = addressed(target)
      return {
        method: door.method,
        origin: target.provider.origin,
        path: target.provider.basePath + upstreamPath + door.query,
        headers: towardsProvider(raw, target.provider.headers),
        body: door.method === 'GET' || bytes.length === 0 ? null : bytes,
        timeoutMs: target.timeoutMs ?? timeoutMs,
      }
    },
    meter: (_target: Target, head: AnswerHead): Meter =>
      opaque
        ? unread()
        : protocol.meter(matched, ask, head, { hideUsage: prepared.hideUsage, wholeEvents: ask.stream }),
    headers: (target, attempts, answer, decoded) => [
      ...towardsClient(answer, { decoded }),
      ...ownHeaders(call),
      ...targetHeaders(target, attempts),
    ],
  }
}

/** What every answer says of its place in the run. */
export function ownHeaders({ requestId, work }: Call): string[] {
  const headers = ['x-sluice-run-id', work.run_id, 'x-sluice-request-id', requestId]
  if (work.step !== undefined) headers.push('x-sluice-step', String(work.step))
  return headers
}

export const targetHeaders = (target: Target, attempts: number): string[] => [
  'x-sluice-provider',
  target.provider.name,
  'x-sluice-attempts',
  String(attempts),
]
