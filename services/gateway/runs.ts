import { LRUCache } from 'lru-cache'
import type { RunSource } from '../../schemas/work.ts'
import type { RunClaim } from '../core/lineage.ts'

/** A run as this gateway knows it. `steps` counts its model calls in order of arrival. */
export type Run = {
  readonly id: string
  readonly rootId: string
  readonly parentId: string | null
  /** Root first, parent last. */
  readonly ancestors: readonly string[]
  steps: number
}

/** The runs that this gateway has seen lately: what a request needs to be filed, never a truth of its own. */
export type Runs = {
  /** Finds or opens the run of a request of `agent`. `opened`: this gateway had not seen it before. */
  of(agent: string, claim: RunClaim | null, parentRunId: string | null, previousResponseId: string | null): Found
  /** An answer's id names its run for requests that continue it (`previous_response_id`). */
  answered(agent: string, responseId: string, run: Run): void
}

export type Found = { readonly run: Run; readonly source: RunSource; readonly opened: boolean }

/** Ten thousand live runs with ten calls each, ten times over; about 100 bytes each. */
const known = { runs: 100_000, answers: 100_000 }

export function openRuns(options: { readonly mint: () => string; readonly idleMs: number }): Runs {
  const runs = new LRUCache<string, Run>({ max: known.runs, ttl: options.idleMs, updateAgeOnGet: true })
  const answers = new LRUCache<string, Run>({ max: known.answers, ttl: options.idleMs })

  const open = (id: string, parentId: string | null): Run => {
    const parent = parentId === null || parentId === id ? undefined : runs.get(parentId)
    const ancestors =
      parent !== undefined ? [...parent.ancestors, parent.id] : parentId !== null && parentId !== id ? [parentId] : []
    const run: Run = { id, rootId: ancestors[0] ?? id, parentId: ancestors.at(-1) ?? null, ancestors, steps: 0 }
    runs.set(id, run)
    return run
  }

  return {
    of(agent, claim, parentRunId, previousResponseId) {
      if (claim !== null) {
        const run = runs.get(claim.runId)
        return run === undefined
          ? { run: open(claim.runId, parentRunId), source: claim.source, opened: true }
          : { run, source: claim.source, opened: false }
      }
      const continued = previousResponseId === null ? undefined : answers.get(`${agent} ${previousResponseId}`)
      if (continued !== undefined) {
        runs.set(continued.id, continued)
        return { run: continued, source: 'previous-response', opened: false }
      }
      return { run: open(options.mint(), parentRunId), source: 'new', opened: true }
    },
    answered(agent, responseId, run) {
      answers.set(`${agent} ${responseId}`, run)
    },
  }
}
