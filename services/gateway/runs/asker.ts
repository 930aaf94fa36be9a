import type { Identity } from '../identity/identity.ts'
import { strayed } from '../identity/under-token.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import type { Run } from './run.ts'

/** Whoever asks something of a run: an agent by its key, or whoever holds the admin token. */
export type Asker = { readonly name: string; readonly agent: Identity | null }
/** What is answered: a run, or why not. */
export type Outcome = { readonly run: Run; readonly status: number } | Refusal

/** The run, if the asker may act on it: an admin on all, an agent on its own and on what was spawned by its own. */
export async function theirs(pipeline: Pipeline, asker: Asker, id: string): Promise<Run | null> {
  const run = await knownRun(pipeline, id)
  if (run === undefined) return null
  const { agent } = asker
  if (agent === null) return run
  if (strayed(agent, run) !== null) return null
  return [run, ...pipeline.runs.above(run)].some(one => one.about?.agent === agent.agent) ? run : null
}

export const knownRun = (pipeline: Pipeline, id: string): Promise<Run | undefined> =>
  pipeline.peers.awaited(() => pipeline.runs.get(id), peersWaitMs)

/** A run that was opened at another gateway is known here some milliseconds later; over Kafka, some tens. */
const peersWaitMs = 500
