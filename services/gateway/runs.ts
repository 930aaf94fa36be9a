import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { RunSource, Work } from '../../schemas/work.ts'
import type { RunClaim } from '../core/lineage.ts'
import { type Spawner, spawnerOf, withCalls } from '../core/spawn.ts'
import { findTie, isBehind, type Knot, keyOfId, type Mark, markOf, type Tie, tieKnot } from '../core/thread.ts'
import { ToolCalls } from '../core/tool-calls.ts'
import type { History, Turn } from '../core/turn.ts'
import type { ToolFields } from './tools.ts'

/** A run as this gateway knows it. `steps` counts its model calls in order of arrival. */
export type Run = {
  readonly id: string
  readonly rootId: string
  readonly parentId: string | null
  /** Root first, parent last. */
  readonly ancestors: readonly string[]
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

/** What a request tells of the run it belongs to. */
export type Told = {
  /** Whose conversations it may belong to: never another agent's, nor another key's. */
  readonly scope: string
  readonly claim: RunClaim | null
  readonly parentRunId: string | null
  readonly previousResponseId: string | null
  readonly history: History | null
}

/** A call of a former life: `at` is Unix milliseconds. */
export type Remembered = {
  readonly work: Work
  readonly at: number
  /** This gateway served it. */
  readonly own: boolean
  readonly mark: Mark | null
  readonly responseId: string | null
}

/** `opened`: this gateway had not seen the run before. `tie`: where in a conversation the request goes on. */
export type Found = {
  readonly run: Run
  readonly source: RunSource
  readonly opened: boolean
  readonly tie: Tie | null
}

/** The runs that this gateway has seen lately: what a request needs to be filed, never a truth of its own. */
export type Runs = {
  of(told: Told): Found
  /** Whether it goes on with something that was said and of which nothing is known here. */
  goesOnUnknown(told: Told): boolean
  /** A request was answered: later ones may continue from here. Gives what a next life needs to know of it. */
  answered(told: Told, found: Found, answer: readonly Turn[], responseId: string | null): Mark | null
  /** At start, from the log: what a former life knew. */
  remember(scope: string, event: Remembered): void
  /** A call of the run begins or ends. */
  begun(run: Run, about: Work): void
  ended(run: Run): void
  get(runId: string): Run | undefined
  /** The run in which a model asked for the call of this id. */
  ofCall(scope: string, callId: string): Run | undefined
  /** It ended, and what is known of it goes with it. */
  forget(runId: string): void
  /** Runs without a sign of life for the idle time whose last one was seen here; each is given once. */
  idle(): readonly Run[]
}

/** Ten thousand live runs with ten calls each, and as much again; a knot and its keys are about 1 KiB. */
const known = { runs: 100_000, responses: 100_000, knotKeys: 400_000, scopes: 10_000 }
/** Knots under one key: runs that say the same at the same place. Beyond it the oldest are given up. */
const alike = 16
/** The clock of ages is read once in so many milliseconds: each reading takes a timer, and idle times are minutes. */
const ttlResolution = 1_000

export function openRuns(options: {
  readonly mint: () => string
  readonly idleMs: number
  readonly now?: () => number
}): Runs {
  const ttl = options.idleMs
  const now = options.now ?? Date.now
  // No `ttl`: a run ends by `idle`, which tells the world; the oldest are pushed out only above the bound.
  const runs = new LRUCache<string, Run>({ max: known.runs })
  const responses = new LRUCache<string, string>({ max: known.responses, ttl, ttlResolution })
  const keys = new LRUCache<string, readonly Knot[]>({ max: known.knotKeys, ttl, ttlResolution })
  const knots = {
    get: (key: string) => keys.get(key) ?? [],
    add(key: string, knot: Knot) {
      const status: LRUCache.Status<string, readonly Knot[]> = {}
      keys.set(key, [knot], { status })
      // Rarely was there one: so it is asked for by setting, for in a large cache each look costs a microsecond.
      if (status.oldValue !== undefined) keys.set(key, [...status.oldValue.slice(1 - alike), knot])
    },
  }
  const spawners = new LRUCache<string, readonly Spawner[]>({ max: known.scopes, ttl, ttlResolution })
  let order = 0

  const open = (id: string, parentId: string | null): Run => {
    const parent = parentId === null || parentId === id ? undefined : runs.get(parentId)
    const above = parentId !== null && parentId !== id ? [parentId] : []
    const ancestors = parent !== undefined ? [...parent.ancestors, parent.id] : above
    const run: Run = {
      id,
      rootId: ancestors[0] ?? id,
      parentId: ancestors.at(-1) ?? null,
      ancestors,
      calls: new ToolCalls(),
      steps: 0,
      inFlight: 0,
      lastAt: now(),
      ours: true,
      about: null,
    }
    runs.set(id, run)
    return run
  }
  const named = (id: string, source: RunSource, tie: Tie | null, parentId: string | null): Found => {
    const run = runs.get(id)
    return run === undefined
      ? { run: open(id, parentId), source, opened: true, tie }
      : { run, source, opened: false, tie }
  }

  return {
    of({ scope, claim, parentRunId, previousResponseId, history }) {
      const tie = history === null || history.length === 0 ? null : findTie(knots, scope, history, digest)
      if (claim !== null) return named(claim.runId, claim.source, tie, parentRunId)
      const continued = previousResponseId === null ? undefined : responses.get(`${scope} ${previousResponseId}`)
      if (continued !== undefined) return named(continued, 'previous-response', tie, parentRunId)
      if (tie !== null) return named(tie.knot.runId, 'conversation', tie, parentRunId)
      if (parentRunId !== null) return named(options.mint(), 'new', null, parentRunId)
      const guessed =
        history === null
          ? null
          : spawnerOf(spawners.get(scope) ?? [], history, id => (runs.peek(id)?.calls.open ?? 0) > 0)
      return named(options.mint(), guessed === null ? 'new' : 'inferred', null, guessed)
    },

    goesOnUnknown({ scope, claim, previousResponseId, history }) {
      if (claim !== null) return false
      if (previousResponseId !== null) return !responses.has(`${scope} ${previousResponseId}`)
      return history !== null && isBehind(history, findTie(knots, scope, history, digest))
    },

    begun(run, about) {
      run.inFlight++
      run.ours = true
      run.lastAt = now()
      run.about ??= about
      runs.set(run.id, run) // one that was pushed out meanwhile lives on
    },

    ended(run) {
      run.inFlight--
      run.lastAt = now()
      runs.set(run.id, run) // the order of the cache is the order of `lastAt`
    },

    idle() {
      const deadline = now() - options.idleMs
      const gone: Run[] = []
      // Least recently used first, so this looks at little more than it gives.
      for (const run of runs.rvalues()) {
        if (run === undefined || run.inFlight > 0) continue
        if (run.lastAt > deadline) break
        gone.push(run)
      }
      for (const run of gone) runs.delete(run.id)
      return gone.filter(run => run.ours)
    },

    answered({ scope, history }, { run, tie }, answer, responseId) {
      if (responseId !== null) responses.set(`${scope} ${responseId}`, run.id)
      if (history === null || history.length + answer.length === 0) return null
      // A tie to another run (a header named this one) is no part of this run's chain.
      const parent = tie !== null && tie.knot.runId === run.id ? tie.knot : null
      const mark = markOf(history, answer, parent, digest)
      const asked = answer.flatMap(turn => turn.calls)
      if (asked.length > 0) spawners.set(scope, withCalls(spawners.get(scope) ?? [], run.id, asked))
      if (parent !== null) parent.continued++
      tieKnot(knots, scope, mark, { runId: run.id, order: ++order })
      return mark
    },

    remember(scope, { work, at, own, mark, responseId }) {
      const run = runs.get(work.run_id) ?? open(work.run_id, work.parent_run_id ?? null)
      run.steps = Math.max(run.steps, work.step ?? 0)
      // What others tell may come late: only the latest sign of life says whose run it is now.
      if (run.about === null || at >= run.lastAt) {
        run.lastAt = at
        if (run.inFlight === 0) run.ours = own
      }
      run.about ??= work
      runs.set(run.id, run)
      if (responseId !== null) responses.set(`${scope} ${responseId}`, run.id)
      if (mark !== null) tieKnot(knots, scope, mark, { runId: run.id, order: ++order })
    },

    get: id => runs.get(id),
    ofCall: (scope, callId) => runs.get(knots.get(keyOfId(scope, callId, digest)).at(-1)?.runId ?? ''),
    forget: id => void runs.delete(id),
  }
}

/** Long enough that no two texts of one agent share it. Whole: a part of a text keeps all of it, and is slow to serialise. */
const digest = (text: string): string => hash('sha1', text, 'base64url')
