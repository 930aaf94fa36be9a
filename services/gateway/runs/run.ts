import type { Work } from '../../../schemas/work.ts'
import { ToolCalls } from '../../core/conversation/tool-calls.ts'
import { noLimits, type RunLimits } from '../../core/runs/limits.ts'
import type { CappedRun } from '../money/tolls.ts'
import type { ToolFields } from './tools.ts'

/** A run as this gateway knows it. `steps` counts its model calls in order of arrival. */
export type Run = {
  readonly id: string
  rootId: string
  parentId: string | null
  /** Root first, parent last. Replaced where another gateway knows more of the way up. */
  ancestors: readonly string[]
  /** `run:<id>` of it and of each run above it, nearest first: where a stop or a cap may stand. */
  scopes: readonly string[]
  /** Its own terms; each is null where the policy's defaults hold. */
  limits: RunLimits
  /** Rises with each change of its limits. */
  limitsVersion: number
  /** What it may spend, as it was reckoned last; null before that. */
  capped: CappedRun | null
  /** Unix milliseconds. */
  startedAt: number
  /** How many runs it has spawned itself. */
  children: number
  /** This life has given it its name, and has not paid for any call of it yet. */
  isNew: boolean
  /** Whether its start is a fact; until then it is only what a request asked for. */
  started: boolean
  /** When its start was last told, Unix milliseconds. */
  toldAt: number
  /** How it ended; null while it goes on. A call makes it go on again. */
  ended: { readonly reason: string | null; readonly at: number } | null
  readonly calls: ToolCalls<ToolFields>
  steps: number
  inFlight: number
  /** Unix milliseconds of its last sign of life. */
  lastAt: number
  /** Whether the last sign of life was seen here: then it is for this gateway to say that there are no more. */
  ours: boolean
  /** What its facts have in common; null until its first call was admitted. */
  about: Work | null
}

/** `own`: this gateway told it, in a former life. Times are Unix milliseconds. */
export type Birth = {
  readonly work: Work
  readonly limits: RunLimits
  readonly limitsVersion: number
  readonly startedAt: number
  readonly children: number
  readonly at: number
  readonly own: boolean
}

export function newRun(id: string, ancestors: readonly string[], at: number): Run {
  const run: Run = {
    id,
    rootId: id,
    parentId: null,
    ancestors: [],
    scopes: [],
    limits: noLimits,
    limitsVersion: 0,
    capped: null,
    startedAt: at,
    children: 0,
    isNew: false,
    started: false,
    toldAt: 0,
    ended: null,
    calls: new ToolCalls(),
    steps: 0,
    inFlight: 0,
    lastAt: at,
    ours: true,
    about: null,
  }
  // Two that name each other as parents are none.
  place(run, ancestors.includes(id) ? [] : ancestors)
  return run
}

function place(run: Run, ancestors: readonly string[]): void {
  run.ancestors = ancestors
  run.rootId = ancestors[0] ?? run.id
  run.parentId = ancestors.at(-1) ?? null
  run.scopes = [`run:${run.id}`, ...ancestors.toReversed().map(id => `run:${id}`)]
}

/** Of two ways up the longer one knows more. */
export function adopt(run: Run, work: Work): void {
  const ancestors = work.ancestors ?? (work.parent_run_id === undefined ? [] : [work.parent_run_id])
  if (ancestors.length > run.ancestors.length && !ancestors.includes(run.id)) place(run, ancestors)
}
