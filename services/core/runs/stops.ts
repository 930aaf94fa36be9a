import { isStop, type Signal, type Stop } from '../../../schemas/stop.ts'

/**
 * Who is stopped: a fold of the stops and resumes on control.
 *
 * For each scope the latest of each kind is kept, by version, and a stop holds while no resume of that very scope has a
 * higher one. So records may come twice, late or in another order, and a kill is never outrun by what was decided before
 * it: nothing but a later resume of the same scope lifts it.
 */
export type Stops = Map<string, ScopeStops>

export type ScopeStops = {
  /** The highest that was seen, of whatever kind. */
  version: number
  /** The version of the last resume; 0 where there was none. */
  resumed: number
  kill: Standing | null
  pause: Standing | null
  backoff: Standing | null
  /** Ids of the signals decided last, oldest first. */
  decided: readonly string[]
}

/** A stop and when it was decided, in Unix milliseconds. */
export type Standing = { readonly stop: Stop; readonly at: number }

/** Signals of one scope within the time that an enforcer folds again after a crash: minutes, so a handful. */
export const decidedKept = 32
/**
 * Killed runs, at some 600 bytes each: two hundred kills a day for three years. Nobody goes on with a run that old; one
 * given up would begin anew under the defaults. Whatever else is stopped is as much as the configuration names, and stays.
 */
export const killedRunsKept = 200_000

export const noStops = (): Stops => new Map()

/** Takes a record of control, in place. What is no stop (an alert, a shadow of one) changes nothing. */
export function foldStop(stops: Stops, signal: Signal, at: number): void {
  if (!isStop(signal)) return
  const { scope, type } = signal
  const { version, decided } = signal.data
  const known = stops.get(scope) ?? { version: 0, resumed: 0, kill: null, pause: null, backoff: null, decided: [] }
  const next: ScopeStops = {
    ...known,
    version: Math.max(known.version, version),
    decided: merged(known.decided, decided, version >= known.version),
  }
  if (type === 'resume') next.resumed = Math.max(known.resumed, version)
  else next[type] = later(known[type], { stop: signal, at })
  // What a resume has lifted is over; only its version must stay, for what comes late.
  for (const kind of ['kill', 'pause', 'backoff'] as const)
    if ((next[kind]?.stop.data.version ?? 0) < next.resumed) next[kind] = null
  stops.set(scope, next)
  if (stops.size > killedRunsKept) giveUpOne(stops)
}

/** Two enforcers that decide at once give one version twice; of these the one that names the later cause counts. */
function later(known: Standing | null, next: Standing): Standing {
  if (known === null) return next
  const [a, b] = [known.stop.data, next.stop.data]
  if (a.version !== b.version) return a.version > b.version ? known : next
  return a.cause > b.cause ? known : next
}

function merged(known: readonly string[], told: readonly string[], isLater: boolean): readonly string[] {
  const [first, second] = isLater ? [known, told] : [told, known]
  return [...new Set([...first.filter(id => !second.includes(id)), ...second])].slice(-decidedKept)
}

/** The oldest run that does not wait for somebody to resume it. */
function giveUpOne(stops: Stops): void {
  for (const [scope, known] of stops)
    if (scope.startsWith('run:') && known.pause === null) {
      stops.delete(scope)
      return
    }
}

/**
 * What stands in the way of a call with this path (its run, the runs above it, its agent, team, …), nearest first: a kill
 * before a pause before a backoff, and of the same kind the nearest.
 */
export function stopOf(stops: Stops, path: readonly string[], now: number): Standing | null {
  if (stops.size === 0) return null
  let pause: Standing | null = null
  let backoff: Standing | null = null
  for (const scope of path) {
    const known = stops.get(scope)
    if (known === undefined) continue
    if (known.kill !== null) return known.kill
    pause ??= known.pause
    if (known.backoff !== null && (known.backoff.stop.data.until ?? 0) > now) backoff ??= known.backoff
  }
  return pause ?? backoff
}
