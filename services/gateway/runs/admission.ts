import type { Budget } from '../../../schemas/budget.ts'
import type { Event } from '../../../schemas/events.ts'
import type { Link } from '../../core/access/delegation.ts'
import { type Breach, breachOf, expiryOf, limitOf } from '../../core/runs/limits.ts'
import type { Caller } from '../caller.ts'
import type { CappedRun } from '../money/tolls.ts'
import type { Pipeline } from '../parts.ts'
import type { Policies } from '../policy/policies.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import { workOfRun } from './facts.ts'
import type { Run } from './run.ts'
import type { Found } from './runs.ts'

/** What a call stands under, apart from money: it may be stopped there, and its run has limits. */
export type Path = {
  readonly run: Run
  readonly agent: string
  /** For whom it acts, by a token. */
  readonly chain?: readonly Link[] | undefined
  readonly team: string | undefined
  readonly model: string | null
}

/** Nearest first. */
export function scopesOf({ run, agent, chain, team, model }: Path): readonly string[] {
  const scopes = [...run.scopes, `agent:${agent}`]
  // Who is stopped does not go on through others.
  if (chain !== undefined) for (const link of chain) if (link.agent !== agent) scopes.push(`agent:${link.agent}`)
  if (team !== undefined) scopes.push(`team:${team}`)
  scopes.push('org')
  if (model !== null) scopes.push(`model:${model}`)
  return scopes
}

/** Why this run may not make one more call now; null where it may. */
export function runRefusal(pipeline: Pipeline, policies: Policies, path: Path): Refusal | null {
  const now = Date.now()
  const { run } = path
  const standing = pipeline.killswitch.stopOf(scopesOf(path))
  if (standing !== null) return refusals.stopped(standing, run.id, now)
  const above = run.ancestors.length === 0 ? none : pipeline.runs.above(run)
  const breach = breachOf(run, above, run.ancestors.length, !run.started, policies.runs, now)
  if (breach === null) return null
  if (breach.code === 'run_expired') tellExpired(pipeline, breach)
  return refusals.limit(breach, run.id)
}
const none: readonly Run[] = []

/** A call that can be killed from now on, until its client has the last of its answer. */
export function watch(pipeline: Pipeline, policies: Policies, caller: Caller, path: Path): void {
  const call = { path: () => scopesOf(path), stop: caller.stop.bind(caller) }
  const alarm = alarmOf(pipeline, policies, path.run)
  pipeline.killswitch.begin(call)
  caller.whenClosed(() => {
    pipeline.killswitch.end(call)
    if (alarm !== null) clearTimeout(alarm)
  })
}

/** A stream may outlast the time of its run: then nobody asks whether it may go on. */
function alarmOf(pipeline: Pipeline, policies: Policies, run: Run): NodeJS.Timeout | null {
  if (run.ancestors.length === 0 && limitOf('maxDurationMs', run, policies.runs) === null) return null
  const now = Date.now()
  const ends = [run, ...pipeline.runs.above(run)].flatMap(one => {
    const limit = limitOf('maxDurationMs', one, policies.runs)
    return limit === null ? [] : [{ one, limit, leftMs: one.startedAt + limit - now }]
  })
  const first = ends.reduce<(typeof ends)[number] | null>((a, b) => (a === null || b.leftMs < a.leftMs ? b : a), null)
  if (first === null || first.leftMs > longestCallMs) return null
  const breach: Breach = { code: 'run_expired', runId: first.one.id, limit: first.limit }
  return setTimeout(() => {
    // Its time may have been prolonged meanwhile.
    if (expiryOf(first.one, pipeline.policies().runs, Date.now()) !== null) tellExpired(pipeline, breach)
  }, first.leftMs + timerEarlyMs)
}
/** By the clock on the wall a timer may go off a moment before its time. */
const timerEarlyMs = 2
/** No call goes on for longer; an alarm for each of those in flight until then would be of no use. */
const longestCallMs = 3_600_000

/** Told once: from then on the run is stopped, by the word of this gateway and then by control's. */
function tellExpired(pipeline: Pipeline, { runId }: Breach): void {
  const run = pipeline.runs.get(runId)
  const work = run === undefined ? null : workOfRun(run)
  if (work === null || pipeline.killswitch.stopOf([`run:${runId}`])?.stop.type === 'kill') return
  const fact = { type: 'run.expired', ...work, reason: 'maxDurationMs', actor: 'gateway' } as const
  const id = pipeline.recorder.tell(fact, work.root_run_id)
  const event: Event = { id, source: '', time: Date.now(), ...fact }
  pipeline.killswitch.asked(event)
}

/**
 * What the run and those above it may spend: their own budgets, else the policy's for runs. To be asked when a call is to
 * be paid for: from then on none of them is new. A parent that was only guessed is not charged: nobody said that the run
 * may spend its money.
 */
export function cappedRuns(
  pipeline: Pipeline,
  policies: Policies,
  { run, source }: Pick<Found, 'run' | 'source'>,
): readonly CappedRun[] {
  const isGuess = (run.about?.run_source ?? source) === 'inferred'
  const caps: CappedRun[] = []
  const add = (one: Run): void => {
    const capped = cappedAs(one, one.limits.budgets ?? policies.runs.budgets)
    if (capped.budgets.length > 0) caps.push(capped)
  }
  add(run)
  if (run.ancestors.length > 0 && !isGuess) for (const upper of pipeline.runs.above(run).toReversed()) add(upper)
  return caps
}

/** The same value for as long as it stays the same: then nobody has to reckon anew what follows from it. */
function cappedAs(run: Run, budgets: readonly Budget[]): CappedRun {
  const before = run.capped
  const [id = ''] = run.scopes
  if (before?.budgets === budgets && before.version === run.limitsVersion && before.isNew === run.isNew) return before
  const capped: CappedRun = { id, budgets, version: run.limitsVersion, isNew: run.isNew, reckoned: null }
  run.isNew = false
  run.capped = capped
  return capped
}
