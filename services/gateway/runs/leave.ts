import type { RunSource } from '../../../schemas/work.ts'
import type { Identity } from '../identity/identity.ts'
import { strayed } from '../identity/under-token.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import type { Run } from './run.ts'
import type { Found, Told } from './runs.ts'

/**
 * A run is its first agent's, and whoever works in it spends its money. An agent works in its own runs and in what these
 * have spawned; in another's, or below it, only where that other may delegate to it.
 */
export function mayWorkIn({ runs, policies }: Pipeline, agent: string, run: Run): boolean {
  const owner = run.about?.agent
  if (owner === undefined || owner === agent || policies().mayDelegate(owner, agent)) return true
  return runs.above(run).some(upper => upper.about?.agent === agent)
}

/** The run that a request belongs to, or that it may not be there. */
export function place(pipeline: Pipeline, who: Identity, told: Told): Found | Refusal {
  const found = pipeline.runs.of(told)
  const refusal = strayed(who, found.run) ?? refusalOf(pipeline, who.agent, found.run)
  if (refusal === null) return found
  if (found.opened) pipeline.runs.drop(found.run)
  // A trace or a session goes through many agents and asks for nobody's money: each of them has runs of its own in it.
  return told.claim !== null && shared.has(found.source) ? place(pipeline, who, { ...told, claim: null }) : refusal
}

const shared: ReadonlySet<RunSource> = new Set(['peer-header', 'traceparent'])

function refusalOf(pipeline: Pipeline, agent: string, run: Run): Refusal | null {
  if (!mayWorkIn(pipeline, agent, run)) return refusals.noLeave(agent, run.id)
  // Whoever opened it by request was asked for leave then. What a header names may be somebody's only later.
  if (run.parentId === null || run.limitsVersion > 0) return null
  const parent = pipeline.runs.get(run.parentId)
  if (parent === undefined || mayWorkIn(pipeline, run.about?.agent ?? agent, parent)) return null
  return refusals.noLeave(agent, parent.id)
}
