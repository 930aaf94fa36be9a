import { z } from 'zod'
import type { Event } from '../../../schemas/events.ts'
import type { ScopeChanged } from '../../../schemas/run.ts'
import { Fault } from '../../io/fault.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import { stopSaid } from '../runs/view.ts'

export const scopeActs = ['pause', 'resume', 'kill'] as const
export type ScopeAct = (typeof scopeActs)[number]

/** Runs have routes of their own, which know whose they are. */
const scopeName = z
  .string()
  .max(300)
  .regex(/^(org|(agent|team|model|run):.+)$/, 'expected org, agent:…, team:…, model:… or run:…')
const request = z.strictObject({ reason: z.string().min(1).max(500).optional() })

/** As long as an act on a run waits to be seen on control. */
const decidedWaitMs = 500

/** An admin stops or raises more than a run: what a breaker has paused there waits for this. */
export async function actOnScope(
  pipeline: Pipeline,
  scope: string,
  act: ScopeAct,
  body: unknown,
): Promise<{ readonly status: number; readonly body: object } | Refusal> {
  const named = scopeName.safeParse(scope)
  const parsed = request.safeParse(body)
  if (!named.success) return refusals.invalid(z.prettifyError(named.error))
  if (!parsed.success) return refusals.invalid(z.prettifyError(parsed.error))
  const { reason } = parsed.data
  const fact: ScopeChanged = {
    type: changed[act],
    scope,
    agent: scope.startsWith('agent:') ? scope.slice(6) : '',
    run_id: '',
    root_run_id: '',
    actor: 'admin',
    policy_version: pipeline.policies().version,
    ...(reason === undefined ? {} : { reason }),
  }
  const telling = pipeline.recorder.try(fact, scope)
  pipeline.recorder.hurry()
  const written = await telling
  if (written instanceof Fault) return refusals.logUnavailable()
  const event: Event = { id: written.id, source: '', time: Date.now(), ...fact }
  const decision = pipeline.killswitch.asked(event)
  const seen = decision === null || (await pipeline.killswitch.decided(decision, decidedWaitMs))
  return { status: seen ? 200 : 202, body: scopeView(pipeline, scope) }
}

export function scopeView(pipeline: Pipeline, scope: string): object {
  const standing = pipeline.killswitch.stopOf([scope])
  return { scope, stop: standing === null ? null : stopSaid(standing) }
}

const changed = {
  pause: 'scope.paused',
  resume: 'scope.resumed',
  kill: 'scope.killed',
} as const satisfies Record<ScopeAct, ScopeChanged['type']>
