import { setTimeout as sleep } from 'node:timers/promises'
import type { Attempt } from '../../../schemas/llm.ts'
import { afterTry, type Circuit, closed, isOpen } from '../../core/circuit.ts'
import { backoffMs, orderOfTargets, retryAfterMs } from '../../core/plan.ts'
import { Fault } from '../../io/fault.ts'
import type { Plan, Target } from '../policy/policies.ts'
import type { AnswerHead, Meter } from '../protocols/protocol.ts'
import { attempt, type Client, type Try } from './exchange.ts'
import { headerOf } from './headers.ts'
import type { UpstreamRequest } from './upstream.ts'

/** How a call went on its way through its targets: the last try, who made it, and all that were made. */
export type Forwarded = { readonly last: Try; readonly target: Target; readonly attempts: readonly Attempt[] }

/** What changes from target to target. */
export type Outgoing = {
  readonly request: (target: Target) => UpstreamRequest
  readonly meter: (target: Target, head: AnswerHead) => Meter
  readonly headers: (target: Target, attempts: number, raw: readonly string[], decoded: boolean) => readonly string[]
  readonly stream: boolean
}

/** Statuses after which the same request may succeed, here or elsewhere. 529 is Anthropic's "overloaded". */
const passing = new Set([408, 425, 429, 500, 502, 503, 504, 529])

/** Longer than this a client is better told than kept waiting: its own SDK obeys `retry-after` as well. */
const longestWaitMs = 20_000

export function openForwarding(options: { readonly random?: () => number; readonly now?: () => number } = {}) {
  const random = options.random ?? Math.random
  const now = options.now ?? (() => performance.now())
  /** One per provider and model. They are as many as the configuration names, times models asked for: bounded below. */
  const circuits = new Map<string, Circuit>()

  const circuitOf = (target: Target) => circuits.get(target.provider.name) ?? closed
  const note = (target: Target, well: boolean) =>
    circuits.set(target.provider.name, afterTry(circuitOf(target), well, now()))

  /** Tries the plan's targets in turn until one answers, the client leaves, or all were tried. */
  return async function forward(plan: Plan, out: Outgoing, client: Client): Promise<Forwarded> {
    const line = orderOfTargets(plan.targets, plan.fallback, random(), target => isOpen(circuitOf(target), now()))
    const attempts: Attempt[] = []
    let left = plan.retry.attempts
    for (let at = 0; ; ) {
      const target = line[at]
      if (target === undefined) throw new Error('a plan has at least one target')
      if (client.stopped !== null) return { last: stoppedBefore, target, attempts }
      const { sign, upstream } = target.provider
      const request = out.request(target)
      const last = await attempt({
        upstream,
        request: sign === null ? request : await sign(request),
        client,
        stream: out.stream,
        meter: head => out.meter(target, head),
        headers: (raw, decoded) => out.headers(target, attempts.length + 1, raw, decoded),
      })
      const failed = mayPass(last)
      note(target, !failed)
      attempts.push(attemptOf(attempts.length + 1, target, last))
      if (!failed || client.gone || last.kind === 'stopped') return { last, target, attempts }

      const fallback = plan.fallback.includes(target)
      if (!fallback) left--
      const next =
        !fallback && left > 0 ? retryAt(line, at, plan) : line.findIndex((t, i) => i > at && plan.fallback.includes(t))
      if (next < 0) return { last, target, attempts }
      // Another target is tried at once; the same one is given time.
      if (line[next] === target) {
        const wait = backoffMs(plan.retry, attempts.length, random(), askedWait(last))
        if (wait > longestWaitMs) return { last, target, attempts }
        await pause(wait, client)
        if (client.gone) return { last: { ...timing(last), kind: 'left', status: null }, target, attempts }
      }
      at = next
    }
  }
}

/** Killed while it waited: for its admission, or for another try. */
const stoppedBefore: Try = { kind: 'stopped', status: null, sent: false, latencyMs: 0, ttfbMs: null, ttftMs: null }

/** The next weighted target, or the same one again where there is no other. */
function retryAt(line: readonly Target[], at: number, plan: Plan): number {
  const next = line.findIndex((target, i) => i > at && plan.targets.includes(target))
  return next >= 0 ? next : at
}

/** Whether nothing has reached the client and another try may go better. */
function mayPass(last: Try): boolean {
  if (last.kind === 'failed') return true
  return last.kind === 'whole' && passing.has(last.status)
}

/** What an answer says of when to come again, in milliseconds. */
export function askedWait(last: Try): number | null {
  if (last.kind !== 'whole') return null
  return retryAfterMs(headerOf(last.headers, 'retry-after-ms'), headerOf(last.headers, 'retry-after'), Date.now())
}

const timing = (last: Try) => ({ latencyMs: last.latencyMs, ttfbMs: last.ttfbMs, ttftMs: last.ttftMs })

function attemptOf(n: number, target: Target, last: Try): Attempt {
  return {
    n,
    provider: target.provider.name,
    model: target.model ?? undefined,
    status: last.status ?? undefined,
    error: errorOf(last),
    latency_ms: round(last.latencyMs),
    ttfb_ms: last.ttfbMs === null ? undefined : round(last.ttfbMs),
  }
}

function errorOf(last: Try): string | undefined {
  switch (last.kind) {
    case 'failed':
      return last.fault.code
    case 'left':
      return 'client_left'
    case 'stopped':
      return 'killed'
    case 'streamed':
      return last.fault instanceof Fault ? last.fault.code : last.reading.error?.type
    case 'whole':
      return last.status < 400 ? undefined : (last.reading.error?.type ?? `http_${last.status}`)
    default:
      return last satisfies never
  }
}

const round = (ms: number): number => Math.round(ms * 1000) / 1000

/** Waits, but not for a client that has left. */
async function pause(ms: number, client: Client): Promise<void> {
  const stop = new AbortController()
  client.listener = { left: () => stop.abort(), stopped: () => stop.abort(), drained() {} }
  try {
    await sleep(ms, undefined, { signal: stop.signal })
  } catch {
    // the client has left or was stopped: the caller of `pause` looks at that itself
  } finally {
    client.listener = null
  }
}
