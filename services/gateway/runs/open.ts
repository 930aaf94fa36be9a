import { z } from 'zod'
import { budget } from '../../../schemas/budget.ts'
import type { Work } from '../../../schemas/work.ts'
import { isRunId } from '../../core/conversation/lineage.ts'
import { defined } from '../../core/defined.ts'
import { breachOf, type RunLimits, widens } from '../../core/runs/limits.ts'
import { Fault } from '../../io/fault.ts'
import type { Identity } from '../identity/identity.ts'
import { chainOf, strayed } from '../identity/under-token.ts'
import type { Pipeline } from '../parts.ts'
import { refusals } from '../refusals.ts'
import { type Asker, knownRun, type Outcome } from './asker.ts'
import { startOf } from './facts.ts'
import { mayWorkIn } from './leave.ts'
import type { Run } from './run.ts'

const count = z.number().int().positive()
/** A run's own terms, as a request tells them. */
export const terms = {
  budgets: z.array(budget).max(20).optional(),
  maxSteps: count.optional(),
  maxDepth: count.optional(),
  maxChildren: count.optional(),
  maxDurationMs: count.optional(),
}
const request = z.strictObject({
  agent: z
    .string()
    .regex(/^[\w.@:-]{1,128}$/, 'expected an agent’s name')
    .optional(),
  parentRunId: z.string().refine(isRunId, 'expected a run’s id').optional(),
  task: z.string().max(500).optional(),
  labels: z
    .record(z.string().max(100), z.string().max(500))
    .refine(labels => Object.keys(labels).length <= 32, 'expected at most 32 labels')
    .optional(),
  ...terms,
})

/** Opens a run by request. It may only narrow what the runs above it have; its start is a fact when this resolves. */
export async function openRun(
  pipeline: Pipeline,
  asker: Asker,
  body: unknown,
  /** Who will work in it by a token; else it is known whose it is from the asker alone. */
  bearer: Identity | null = null,
): Promise<Outcome> {
  const parsed = request.safeParse(body)
  if (!parsed.success) return refusals.invalid(z.prettifyError(parsed.error))
  const wanted = parsed.data
  const policies = pipeline.policies()
  const agent = wanted.agent ?? asker.agent?.agent
  if (agent === undefined) return refusals.invalid('Whoever opens a run with the admin token names its agent.')
  if (asker.agent !== null && agent !== asker.agent.agent && !policies.mayDelegate(asker.agent.agent, agent))
    return refusals.delegationNotAllowed(asker.agent.agent, agent)

  // Whoever works by the token of a run spends that run's money, in whatever it opens.
  const parentRunId = wanted.parentRunId ?? asker.agent?.token?.run?.id
  const parent = parentRunId === undefined ? null : await knownRun(pipeline, parentRunId)
  if (parent?.about === null || parent === undefined)
    return refusals.invalid(`parentRunId: there is no run ${JSON.stringify(parentRunId)}`)
  if (parent !== null && asker.agent !== null && !mayWorkIn(pipeline, asker.agent.agent, parent))
    return refusals.noLeave(asker.agent.agent, parent.id)
  const astray = parent === null || asker.agent === null ? null : strayed(asker.agent, parent)
  if (astray !== null) return astray
  const above = parent === null ? [] : [...pipeline.runs.above(parent), parent]
  const limits = limitsOfTerms(wanted)
  const wide = widens(
    limits,
    above.map(run => effective(run, policies.runs)),
  )
  if (wide !== null) return refusals.invalid(`A run may only narrow what is above it: ${wide}.`)
  const now = Date.now()
  if (parent !== null) {
    const standing = pipeline.killswitch.stopOf(parent.scopes)
    if (standing?.stop.type === 'kill') return refusals.stopped(standing, parent.id, now)
    const one = { id: '', limits, steps: 0, children: 0, startedAt: now }
    const breach = breachOf(one, above, parent.ancestors.length + 1, true, policies.runs, now)
    if (breach !== null) return refusals.limit(breach, '')
  }

  const run = pipeline.runs.create(parentRunId ?? null, limits, made => workOf(made, agent))
  const [start] = pipeline.runs.toTell(run).slice(-1)
  const { about } = run
  if (start === undefined || about === null) throw new Error('a run that was opened has a start to be told')
  const written = await pipeline.recorder.try(startOf(run, about, true, policies.runs.budgets), run.rootId)
  if (written instanceof Fault) {
    pipeline.runs.forget(run.id)
    return refusals.logUnavailable()
  }
  return { run, status: 201 }

  function workOf(run: Run, agent: string): Work {
    const who = bearer ?? (asker.agent?.agent === agent ? asker.agent : null)
    return {
      agent,
      run_id: run.id,
      root_run_id: run.rootId,
      run_source: bearer === null ? 'header' : 'token',
      policy_version: policies.version,
      ...defined({
        team: policies.teamOf(agent),
        key_id: who?.keyId,
        task: wanted.task,
        labels: wanted.labels,
        parent_run_id: run.parentId ?? undefined,
        ancestors: run.parentId === null ? undefined : [...run.ancestors],
        depth: run.parentId === null ? undefined : run.ancestors.length,
      }),
      ...(who === null ? {} : chainOf(who)),
    }
  }
}

type Terms = { readonly [Name in keyof typeof terms]?: z.output<(typeof terms)[Name]> | undefined }

export const limitsOfTerms = (wanted: Terms): RunLimits => ({
  budgets: wanted.budgets ?? null,
  maxSteps: wanted.maxSteps ?? null,
  maxDepth: wanted.maxDepth ?? null,
  maxChildren: wanted.maxChildren ?? null,
  maxDurationMs: wanted.maxDurationMs ?? null,
})

/** What holds for a run: its own terms, else the policy's. */
export function effective({ limits }: Run, defaults: ReturnType<Pipeline['policies']>['runs']): RunLimits {
  return {
    budgets: limits.budgets ?? defaults.budgets,
    maxSteps: limits.maxSteps ?? defaults.maxSteps ?? null,
    maxDepth: limits.maxDepth ?? defaults.maxDepth ?? null,
    maxChildren: limits.maxChildren ?? defaults.maxChildren ?? null,
    maxDurationMs: limits.maxDurationMs ?? defaults.maxDurationMs ?? null,
  }
}
