import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { RunSource, Work } from '../../../schemas/work.ts'
import type { RunClaim } from '../../core/conversation/lineage.ts'
import { type Spawner, spawnerOf, withCalls } from '../../core/conversation/spawn.ts'
import { findTie, isBehind, keyOfId, type Mark, markOf, type Tie, tieKnot } from '../../core/conversation/thread.ts'
import type { History, Turn } from '../../core/conversation/turn.ts'
import type { RunLimits } from '../../core/runs/limits.ts'
import { openKnots } from './knots.ts'
import { adopt, type Birth, newRun, type Run } from './run.ts'

export type { Run } from './run.ts'

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
  /** One that is live, or that has ended lately. */
  get(runId: string): Run | undefined
  /** Those above it that are known, root first. */
  above(run: Run): readonly Run[]
  /** It was opened for a request that may not be there. */
  drop(run: Run): void
  /** Live ones anywhere below it. Looks at all runs: for what is rare. */
  below(runId: string): readonly Run[]
  /** Opens a run by request, under a name of its own. */
  create(parentId: string | null, limits: RunLimits, about: (run: Run) => Work): Run
  /**
   * What is to be told of a run whose call begins: its start, where nobody has told it, and again from time to time that
   * it goes on, it and those above it.
   */
  toTell(run: Run): readonly { readonly run: Run; readonly first: boolean }[]
  /** Another limit holds from now on. */
  limit(run: Run, limits: RunLimits, version: number): void
  /** What a fact of another life or another gateway says of a run's start. */
  born(birth: Birth): void
  /** The run in which a model asked for the call of this id. */
  ofCall(scope: string, callId: string): Run | undefined
  /** It ended: its conversations are forgotten, its terms are kept for a while, should it go on after all. */
  forget(runId: string, reason?: string): void
  /**
   * Runs without a sign of life for the idle time whose last one was seen here; each is given once. `waits`: for somebody
   * who will resume it, so it has not ended.
   */
  idle(waits?: (run: Run) => boolean): readonly Run[]
}

/** Far more than a gateway has at a time; a run is about 1 KiB. */
const known = { runs: 100_000, ended: 20_000, responses: 100_000, scopes: 10_000, parents: 20_000 }
/** Far above what a policy would allow; beyond it children are not counted. */
const childrenKnown = 1_000
/**
 * As a share of the idle time: how often the start of a run that goes on is told again, and so how much further back than
 * the idle time whoever starts has to read. At the default, every three minutes.
 */
export const retold = 0.1
const nothing: readonly never[] = []
/** As gateways name runs: their own name, their epoch, a number. */
const minted = /^run-[a-z0-9-]+-\d+-\d+$/
export const isMinted = (runId: string): boolean => minted.test(runId)

export function openRuns(options: {
  readonly mint: () => string
  /** As the policy in force says. */
  readonly idleMs: () => number
  readonly now?: () => number
}): Runs {
  const now = options.now ?? Date.now
  // No ages: a run ends by `idle`, which tells the world; the oldest are pushed out only above the bound.
  const runs = new LRUCache<string, Run>({ max: known.runs })
  const responses = new LRUCache<string, string>({ max: known.responses })
  const knots = openKnots(runId => isRecent(runId))
  const spawners = new LRUCache<string, readonly Spawner[]>({ max: known.scopes })
  // Without its conversation a run is some 500 bytes. One that falls out and goes on begins anew, under the defaults.
  const ended = new LRUCache<string, Run>({ max: known.ended })
  /** Which runs each has spawned. */
  const spawned = new LRUCache<string, Set<string>>({ max: known.parents })
  let order = 0
  const find = (id: string): Run | undefined => runs.get(id) ?? ended.get(id)
  /** What was said in a run that has been idle for too long is not gone on with. */
  const isRecent = (id: string): boolean => {
    const run = runs.peek(id) ?? ended.peek(id)
    return run === undefined || run.inFlight > 0 || now() - run.lastAt <= options.idleMs()
  }
  const ofResponse = (scope: string, responseId: string): string | undefined => {
    const id = responses.get(`${scope} ${responseId}`)
    return id !== undefined && isRecent(id) ? id : undefined
  }

  const open = (id: string, parentId: string | null): Run => {
    const before = ended.get(id)
    if (before !== undefined) {
      ended.delete(id)
      before.ended = null
      before.started = false
      runs.set(id, before)
      return before
    }
    const run = begin(id, parentId)
    run.children = spawned.get(id)?.size ?? 0
    return run
  }
  const begin = (id: string, parentId: string | null): Run => {
    const parent = parentId === null || parentId === id ? undefined : find(parentId)
    const above = parentId !== null && parentId !== id ? [parentId] : []
    const run = newRun(id, parent !== undefined ? [...parent.ancestors, parent.id] : above, now())
    runs.set(id, run)
    return run
  }
  const named = (id: string, source: RunSource, tie: Tie | null, parentId: string | null): Found => {
    const run = runs.get(id)
    if (run !== undefined) return { run, source, opened: false, tie }
    const opened = !ended.has(id)
    return { run: open(id, parentId), source, opened, tie }
  }
  /** Under a name that nobody can have heard before: there is nothing to look for. */
  const mint = (parentId: string | null): Run => {
    const run = begin(options.mint(), parentId)
    run.isNew = true
    return run
  }
  const fresh = (source: RunSource, parentId: string | null): Found => ({
    run: mint(parentId),
    source,
    opened: true,
    tie: null,
  })
  /** It has begun: from now on it counts as a child, also of a run of which nobody has told yet. */
  const start = (run: Run): void => {
    if (run.started) return
    run.started = true
    if (run.parentId === null) return
    const siblings = spawned.get(run.parentId) ?? new Set()
    if (siblings.size < childrenKnown) siblings.add(run.id)
    spawned.set(run.parentId, siblings)
    const parent = find(run.parentId)
    if (parent !== undefined) parent.children = Math.max(parent.children, siblings.size)
  }

  return {
    of({ scope, claim, parentRunId, previousResponseId, history }) {
      const tie = history === null || history.length === 0 ? null : findTie(knots, scope, history, digest)
      if (claim !== null) return named(claim.runId, claim.source, tie, parentRunId)
      const continued = previousResponseId === null ? undefined : ofResponse(scope, previousResponseId)
      if (continued !== undefined) return named(continued, 'previous-response', tie, parentRunId)
      if (tie !== null) return named(tie.knot.runId, 'conversation', tie, parentRunId)
      if (parentRunId !== null) return fresh('new', parentRunId)
      const guessed =
        history === null
          ? null
          : spawnerOf(spawners.get(scope) ?? [], history, id => (runs.peek(id)?.calls.open ?? 0) > 0)
      return fresh(guessed === null ? 'new' : 'inferred', guessed)
    },

    goesOnUnknown({ scope, claim, parentRunId, previousResponseId, history }) {
      // Another gateway has named this run, so its start is on its way here; and whoever names a parent means one.
      if (claim !== null && find(claim.runId) === undefined && minted.test(claim.runId)) return true
      const orphaned = parentRunId !== null && find(parentRunId) === undefined
      if (claim !== null) return orphaned && find(claim.runId) === undefined
      if (previousResponseId !== null) return ofResponse(scope, previousResponseId) === undefined
      const tie = history === null ? null : findTie(knots, scope, history, digest)
      return (orphaned && tie === null) || (history !== null && isBehind(history, tie))
    },

    begun(run, about) {
      run.inFlight++
      run.ours = true
      run.lastAt = now()
      run.about ??= about
      runs.set(run.id, run) // one that was pushed out meanwhile lives on
      // A run whose children work is not idle.
      for (const id of run.ancestors) {
        const upper = runs.get(id)
        if (upper !== undefined) upper.lastAt = run.lastAt
      }
    },

    ended(run) {
      run.inFlight--
      run.lastAt = now()
      runs.set(run.id, run) // the order of the cache is the order of `lastAt`
    },

    idle(waits) {
      const deadline = now() - options.idleMs()
      const gone: Run[] = []
      // Least recently used first, so this looks at little more than it gives.
      for (const run of runs.rvalues()) {
        if (run === undefined || run.inFlight > 0) continue
        if (run.lastAt > deadline) break
        if (waits?.(run) === true) continue
        gone.push(run)
      }
      for (const run of gone) this.forget(run.id, 'idle')
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
      adopt(run, work)
      start(run)
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

    get: find,
    drop: run => void runs.delete(run.id),
    above: run => run.ancestors.flatMap(id => find(id) ?? []),

    below: id => [...runs.values()].filter(run => run.started && run.ancestors.includes(id)),

    create(parentId, limits, about) {
      const run = mint(parentId)
      run.limits = limits
      run.limitsVersion = 1
      run.about = about(run)
      return run
    },

    toTell(run) {
      const at = now()
      const retellMs = options.idleMs() * retold
      if (run.started && at - run.toldAt < retellMs && run.ancestors.length === 0) return nothing
      const due: { run: Run; first: boolean }[] = []
      for (const id of run.ancestors) {
        const upper = find(id)
        if (upper?.about == null || !upper.started || at - upper.toldAt < retellMs) continue
        upper.toldAt = at
        due.push({ run: upper, first: false })
      }
      if (!run.started || at - run.toldAt >= retellMs) {
        due.push({ run, first: !run.started })
        start(run)
        run.toldAt = at
      }
      return due
    },

    limit(run, limits, version) {
      if (version <= run.limitsVersion) return
      run.limits = limits
      run.limitsVersion = version
    },

    born({ work, limits, limitsVersion, startedAt, children, at, own }) {
      const known = runs.get(work.run_id)
      const run = known ?? open(work.run_id, work.parent_run_id ?? null)
      adopt(run, work)
      start(run)
      // Of two that began it at two gateways before they heard of each other, all see the same one as its owner.
      const isFirst =
        startedAt < run.startedAt || (startedAt === run.startedAt && work.agent < (run.about?.agent ?? ''))
      run.about = isFirst ? work : (run.about ?? work)
      run.startedAt = Math.min(run.startedAt, startedAt)
      run.children = Math.max(run.children, children)
      run.toldAt = Math.max(run.toldAt, at)
      if (known === undefined || at >= run.lastAt) {
        run.lastAt = Math.max(at, known?.lastAt ?? 0)
        if (run.inFlight === 0) run.ours = own
      }
      this.limit(run, limits, limitsVersion)
    },
    ofCall: (scope, callId) => runs.get(knots.get(keyOfId(scope, callId, digest)).at(-1)?.runId ?? ''),
    forget(id, reason) {
      const run = runs.get(id)
      if (run === undefined) return
      run.ended = { reason: reason ?? null, at: now() }
      runs.delete(id)
      ended.set(id, run)
    },
  }
}

/** Long enough that no two texts of one agent share it. Whole: a part of a text keeps all of it, and is slow to serialise. */
const digest = (text: string): string => hash('sha1', text, 'base64url')
