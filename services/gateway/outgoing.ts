import { withMember } from '../core/json-spans.ts'
import type { Call } from './call.ts'
import type { Outgoing } from './forward.ts'
import { towardsClient, towardsProvider } from './headers.ts'
import type { Target } from './policies.ts'
import type { AnswerHead, Meter, Prepared } from './protocols/protocol.ts'
import { unread } from './unread.ts'

/** What goes out for a call, target by target, and what of the answer goes back. */
export function outgoing(call: Call, timeoutMs: number, raw: readonly string[]): Outgoing {
  const { door, ask } = call
  const { protocol, matched } = door
  const opaque = matched.route.shape === 'passthrough'
  const prepared: Prepared = opaque ? { bytes: call.body, hideUsage: false } : protocol.prepare(matched, ask, call.body)

  const inPath = matched.params['model'] !== undefined

  const bodyFor = (target: Target): Buffer | null => {
    if (door.method === 'GET' || prepared.bytes.length === 0) return null
    if (target.model === null || inPath) return prepared.bytes
    return withMember(prepared.bytes, ['model'], JSON.stringify(target.model))
  }
  const pathFor = (target: Target): string =>
    target.model !== null && inPath
      ? matched.route.path.replace('{model}', encodeURIComponent(target.model))
      : matched.upstreamPath

  return {
    stream: ask.stream,
    request: target => ({
      method: door.method,
      origin: target.provider.origin,
      path: target.provider.basePath + pathFor(target) + door.query,
      headers: towardsProvider(raw, target.provider.headers),
      body: bodyFor(target),
      timeoutMs: target.timeoutMs ?? timeoutMs,
    }),
    meter: (_target: Target, head: AnswerHead): Meter =>
      opaque ? unread() : protocol.meter(matched, ask, head, { hideUsage: prepared.hideUsage }),
    headers: (target, attempts, answer, decoded) => [
      ...towardsClient(answer, { decoded }),
      ...ownHeaders(call),
      ...targetHeaders(target, attempts),
    ],
  }
}

/** What every answer says of its place in the run. */
export const ownHeaders = (call: Call): string[] => [
  'x-sluice-run-id',
  call.base.run_id,
  'x-sluice-request-id',
  call.requestId,
  ...(call.base.step === undefined ? [] : ['x-sluice-step', String(call.base.step)]),
]

export const targetHeaders = (target: Target, attempts: number): string[] => [
  'x-sluice-provider',
  target.provider.name,
  'x-sluice-attempts',
  String(attempts),
]
