import { z } from 'zod'
import type { Event } from '../../../schemas/events.ts'
import type { RuleSignal } from '../../../schemas/signal.ts'
import { type Signal, signal } from '../../../schemas/stop.ts'
import { type Decided, decide, decideActs, wishOf } from '../../core/runs/acts.ts'
import { foldStop, noStops, type ScopeStops, type Standing, type Stops, stopOf } from '../../core/runs/stops.ts'
import { keeper, readKept } from '../../io/log/view.ts'
import type { ControlRecord } from './control.ts'

/**
 * Who may not work now, as this gateway knows it: what stands on control, and what was asked for and is on its way there.
 * New calls of a stopped path are refused; those in flight of a killed one are ended.
 */
export type Killswitch = {
  /** What stands in the way of a call whose path this is, nearest first; null where it may go on. */
  stopOf(path: readonly string[]): Standing | null
  /** A call is under way, from before its admission until its client has the last of its answer. */
  begin(call: StoppableCall): void
  end(call: StoppableCall): void
  /**
   * It was asked for or decided here, and is obeyed at once; from when control has it, control's word counts. Gives the
   * decision as the enforcer will make it; null where that is made, or where the fact decides nothing.
   */
  asked(event: Event): Decided | null
  obey(decided: Decided): void
  /** A rule has spoken here, of what it saw of a run at this gateway. */
  ruled(signal: RuleSignal): void
  /** Resolves with true once control has this decision, with false after `ms`. */
  decided(it: Decided, ms: number): Promise<boolean>
  /** The next record of control. */
  hear(record: ControlRecord): void
  /** What stands about one scope. */
  of(scope: string): ScopeStops | undefined
  /** All that stood on control is known: it is kept, even where it is nothing, lest a start without the log wait for it. */
  caughtUp(): void
  /** Whether a former life's knowledge was found on this disk. */
  readonly remembered: boolean
  close(): Promise<void>
}

export type StoppableCall = {
  /** The scopes it stands under. Asked for when something is killed, which is rare. */
  readonly path: () => readonly string[]
  readonly stop: (by: Standing) => void
}

/** `calls`: how many were ended here. `latencyMs`: from the decision until the last of them was. */
export type Observed = {
  readonly signal: Signal
  readonly calls: number
  readonly latencyMs: number
  readonly id: string
}

/** Acts that control has not confirmed: only an enforcer that is away lets them grow. The oldest are given up. */
const askedKept = 10_000
/** Decisions somebody waits for: as many as acts are asked for within half a second. */
const awaitedKept = 10_000

export function openKillswitch(options: {
  readonly observed: (it: Observed) => void
  /** A rule has stopped or raised a scope, or somebody has, while this gateway runs. */
  readonly heard?: (signal: Signal) => void
  /** Where it is kept for a start without the log. */
  readonly file?: string
  readonly onFault?: (error: unknown) => void
  readonly now?: () => number
}): Killswitch {
  const now = options.now ?? Date.now
  const kept =
    options.file === undefined
      ? null
      : {
          file: options.file,
          toJson: (stops: Stops) => [...stops],
          ofJson: (json: unknown): Stops => new Map(storedStops.parse(json)),
          onFault: options.onFault ?? (() => {}),
        }
  const before = kept === null ? null : readKept(kept)
  const keep = kept === null ? null : keeper(kept)
  const stops: Stops = before ?? noStops()
  const asked = new Map<string, Decided>()
  const awaited = new Map<string, () => void>()
  const calls = new Set<StoppableCall>()
  /** Kills whose calls are still ending. */
  const ending = new Map<
    string,
    { readonly decided: Decided; readonly left: Set<StoppableCall>; readonly calls: number }
  >()
  let seen: readonly string[] = []

  const isDecided = ({ id, signal }: Decided): boolean => stops.get(signal.scope)?.decided.includes(id) === true

  const kill = (decided: Decided): void => {
    const { id, time, signal } = decided
    // It was obeyed when it was asked for, and comes again from control.
    if (seen.includes(id)) return
    const by: Standing = { stop: { ...signal, type: 'kill', mode: 'enforce' }, at: time }
    const left = new Set([...calls].filter(call => call.path().includes(signal.scope)))
    if (left.size === 0) {
      // Nothing to end: it is told when control has it, not when a start reads of what was asked for long ago.
      if (isDecided(decided)) options.observed({ signal, calls: 0, latencyMs: Math.max(0, now() - time), id })
      return
    }
    seen = [...seen.slice(1 - seenKept), id]
    ending.set(id, { decided, left, calls: left.size })
    for (const call of left) call.stop(by)
  }

  return {
    stopOf(path) {
      const standing = stopOf(stops, path, now())
      if (asked.size === 0 || standing?.stop.type === 'kill') return standing
      let found = standing
      for (const { signal, time } of asked.values()) {
        if (!path.includes(signal.scope) || signal.type === 'resume' || signal.type === 'alert') continue
        const one: Standing = { stop: { ...signal, type: signal.type, mode: 'enforce' }, at: time }
        if (signal.type === 'backoff' && (signal.data.until ?? 0) <= now()) continue
        if (found === null || weight[signal.type] > weight[found.stop.type]) found = one
      }
      return found
    },
    begin: call => void calls.add(call),
    end(call) {
      calls.delete(call)
      for (const [id, kill] of ending) {
        kill.left.delete(call)
        if (kill.left.size > 0) continue
        ending.delete(id)
        const { signal, time } = kill.decided
        options.observed({ signal, calls: kill.calls, latencyMs: Math.max(0, now() - time), id })
      }
    },

    asked(event) {
      const decided = decideActs(stops, event)
      if (decided !== null) this.obey(decided)
      return decided
    },
    obey(decided) {
      const { id, signal } = decided
      if (signal.mode !== 'enforce' || signal.type === 'alert' || isDecided(decided)) return
      if (signal.type === 'resume') {
        // What was asked for before it is over with it; what control has decided is control's to lift.
        for (const [other, { signal: stop }] of asked) if (stop.scope === signal.scope) asked.delete(other)
        return
      }
      asked.set(id, decided)
      if (asked.size > askedKept) asked.delete(asked.keys().next().value ?? '')
      if (signal.type === 'kill') kill(decided)
    },
    ruled(signal) {
      const decided = decide(stops, wishOf(signal))
      if (decided !== null) this.obey(decided)
    },
    decided(it, ms) {
      if (isDecided(it)) return Promise.resolve(true)
      return new Promise(resolve => {
        const timer = setTimeout(() => {
          awaited.delete(it.id)
          resolve(false)
        }, ms)
        if (awaited.size >= awaitedKept) return
        awaited.set(it.id, () => {
          clearTimeout(timer)
          resolve(true)
        })
      })
    },

    hear(record) {
      if (record.about !== 'signal') return
      const { id, time, live, signal } = record
      foldStop(stops, signal, time)
      for (const decided of signal.data.decided) {
        asked.delete(decided)
        awaited.get(decided)?.()
        awaited.delete(decided)
      }
      // What was asked for here before the scope was raised is over with it, decided or not.
      if (signal.type === 'resume' && signal.mode === 'enforce')
        for (const [other, one] of asked) if (one.signal.scope === signal.scope && one.time <= time) asked.delete(other)
      keep?.put(stops)
      if (live) {
        // One that was lifted before it came here stops nobody.
        if (stops.get(signal.scope)?.kill?.stop === signal) kill({ id, time, signal })
        options.heard?.(signal)
      }
    },
    of: scope => stops.get(scope),
    caughtUp: () => keep?.put(stops),
    remembered: before !== null,
    async close() {
      for (const tell of awaited.values()) tell()
      if (keep !== null) {
        keep.put(stops)
        await keep.done()
      }
    },
  }
}

const weight = { resume: 0, backoff: 1, pause: 2, kill: 3 } as const
/** Kills that came by the short way within the time that control may take to confirm them. */
const seenKept = 1_000

const standing = z
  .object({ stop: signal, at: z.number() })
  .transform(({ stop, at }) => ({ stop, at }) as Standing) // only stops are kept
  .nullable()
const storedStops = z.array(
  z.tuple([
    z.string(),
    z.object({
      version: z.number(),
      resumed: z.number(),
      kill: standing,
      pause: standing,
      backoff: standing,
      decided: z.array(z.string()),
    }),
  ]),
)
