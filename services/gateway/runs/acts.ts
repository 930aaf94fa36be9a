import { z } from 'zod'
import type { Event } from '../../../schemas/events.ts'
import type { RunChanged } from '../../../schemas/run.ts'
import { lifeLimit, type RunLimits, widens } from '../../core/runs/limits.ts'
import type { Standing } from '../../core/runs/stops.ts'
import { Fault } from '../../io/fault.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import type { Asker, Outcome } from './asker.ts'
import { toldLimits, workOfRun } from './facts.ts'
import { effective, limitsOfTerms, terms } from './open.ts'
import type { Run } from './run.ts'
import { unansweredFacts } from './tools.ts'

export const acts = ['pause', 'resume', 'kill', 'finish'] as const
export type Act = (typeof acts)[number]

const plain = z.strictObject({ reason: z.string().min(1).max(500).optional() })
const resuming = plain.extend(terms)

/** How long an act that is recorded waits to be seen on control: an enforcer that lives answers within some milliseconds. */
const decidedWaitMs = 500

/**
 * Somebody pauses, resumes, kills or finishes a run, and with it all that it spawned. The act is a fact first; this gateway
 * obeys it at once, all others when they see the decision. 200: it stands on control; 202: it is recorded.
 */
export async function actOn(pipeline: Pipeline, asker: Asker, run: Run, act: Act, body: unknown): Promise<Outcome> {
  const parsed = (act === 'resume' ? resuming : plain).safeParse(body)
  if (!parsed.success) return refusals.invalid(z.prettifyError(parsed.error))
  const { reason } = parsed.data
  const work = workOfRun(run)
  if (work === null) return refusals.notYours(run.id)
  const scope = `run:${run.id}`
  const own = pipeline.killswitch.stopOf([scope])
  const killed = own?.stop.type === 'kill'
  let raised: RunLimits | null = null
  if (act === 'resume') {
    const limits = raisedBy(parsed.data, run)
    const denied = mayNotResume(pipeline, asker, run, own, limits)
    if (denied !== null) return denied
    if (own === null && limits === null) return { run, status: 200 }
    raised = limits
  }
  // What is dead is neither paused nor finished.
  if (killed && act === 'pause') return refusals.stopped(own, run.id, Date.now())
  if (killed && act === 'finish') return { run, status: 200 }

  const fact: RunChanged = {
    type: changed[act],
    ...work,
    actor: asker.name,
    ...(reason === undefined ? {} : { reason }),
    ...(raised === null ? {} : raisedFields(raised, run.limitsVersion + 1)),
  }
  if (act === 'finish')
    for (const unanswered of unansweredFacts(run.calls, Date.now())) pipeline.recorder.tell(unanswered, run.rootId)
  const telling = pipeline.recorder.try(fact, run.rootId)
  pipeline.recorder.hurry()
  const written = await telling
  if (written instanceof Fault) return refusals.logUnavailable()
  if (act === 'finish') {
    pipeline.runs.forget(run.id, reason ?? 'finished')
    return { run, status: 200 }
  }
  if (raised !== null) pipeline.runs.limit(run, raised, run.limitsVersion + 1)
  const event: Event = { id: written.id, source: '', time: Date.now(), ...fact }
  const decision = pipeline.killswitch.asked(event)
  const seen = decision === null || (await pipeline.killswitch.decided(decision, decidedWaitMs))
  return { run, status: seen ? 200 : 202 }
}

const changed = {
  pause: 'run.paused',
  resume: 'run.resumed',
  kill: 'run.killed',
  finish: 'run.finished',
} as const satisfies Record<Act, RunChanged['type']>

/** The run's terms with those that are given in their place; null where none is. */
function raisedBy(wanted: z.output<typeof resuming>, { limits }: Run): RunLimits | null {
  const given = limitsOfTerms(wanted)
  if (Object.values(given).every(value => value === null)) return null
  return {
    budgets: given.budgets ?? limits.budgets,
    maxSteps: given.maxSteps ?? limits.maxSteps,
    maxDepth: given.maxDepth ?? limits.maxDepth,
    maxChildren: given.maxChildren ?? limits.maxChildren,
    maxDurationMs: given.maxDurationMs ?? limits.maxDurationMs,
  }
}

/**
 * An agent goes on with what it or a rule has paused. What was killed by others, or paused by an admin, is an admin's to
 * raise, and so are limits: else no cap would hold whoever can resume.
 */
function mayNotResume(
  pipeline: Pipeline,
  asker: Asker,
  run: Run,
  own: Standing | null,
  limits: RunLimits | null,
): Refusal | null {
  const defaults = pipeline.policies().runs
  if (asker.agent !== null) {
    if (limits !== null) return refusals.notAllowed('Limits of a run are raised with the admin token.')
    const by = own?.stop.actor ?? ''
    if (own?.stop.type === 'kill' && !by.startsWith('agent:'))
      return refusals.notAllowed('A run that an admin or a rule has ended is resumed with the admin token.')
    if (by === 'admin') return refusals.notAllowed('A run that an admin has paused is resumed with the admin token.')
  }
  if (limits === null) return null
  const above = pipeline.runs.above(run)
  const wide = widens(
    limits,
    above.map(upper => effective(upper, defaults)),
  )
  return wide === null ? null : refusals.invalid(`A run may only narrow what is above it: ${wide}.`)
}

function raisedFields(limits: RunLimits, version: number): Pick<RunChanged, 'limit_nano_usd' | 'data'> {
  const limit = lifeLimit(limits.budgets ?? [])
  return {
    ...(limit === null ? {} : { limit_nano_usd: limit }),
    data: { limits: toldLimits(limits), limits_version: version },
  }
}
