import type { Logger } from '../io/logger.ts'
import type { Facts } from './messages.ts'
import { occupy, type Pace, type ProcessSpec, type Seat } from './seat.ts'

/**
 * Keeps a set of processes running. They start side by side, for nobody needs another one to be there first: whoever
 * finds a door closed knocks again. They end in order, so that each can still hand on what the one before it wrote.
 */
export type Supervisor = {
  /** What each process said of itself, by name, once all are up. Rejects with the Fault of the first that never will be. */
  readonly ready: Promise<ReadonlyMap<string, Facts>>
  /** Drains and ends all; the same promise however often it is called. */
  stop(): Promise<void>
  /** Ends all at once, without draining. */
  kill(): Promise<void>
  /** Those that have not been up yet. */
  waitingFor(): readonly string[]
}

/** The whole drain: container runtimes kill what takes longer than ten seconds. */
export const drainMs = 10_000
/** Of what is left of it, the part of those whose turn it is. */
const firstShare = 0.8

export function supervise(
  specs: readonly ProcessSpec[],
  options: { readonly logger: Logger; readonly pace?: Pace; readonly drainMs?: number },
): Supervisor {
  const { logger } = options
  const seats = specs.map(spec => occupy(spec, logger, options.pace))
  const waiting = new Set(specs.map(spec => spec.name))
  const all = seats.map(async seat => {
    const facts = await seat.ready
    waiting.delete(seat.spec.name)
    return [seat.spec.name, facts] as const
  })
  const ready = Promise.all(all).then(told => new Map(told))
  ready.catch(() => {}) // told to whoever waits for it

  let stopped: Promise<void> | null = null
  const end = async (wholeMs: number) => {
    const deadline = performance.now() + wholeMs
    const phases = [...Map.groupBy(seats, seat => seat.spec.drainOrder)].sort(([a], [b]) => a - b)
    for (const [i, [, phase]] of phases.entries()) {
      // Gateways come first and wait for answers under way, so most of the time is theirs; the last has all that is left.
      const leftMs = Math.max(0, deadline - performance.now())
      await together(phase, i === phases.length - 1 ? leftMs : leftMs * firstShare)
    }
  }
  return {
    ready,
    stop() {
      stopped ??= end(options.drainMs ?? drainMs)
      return stopped
    },
    kill: () => together(seats, 0),
    waitingFor: () => [...waiting],
  }
}

const together = async (seats: readonly Seat[], ms: number): Promise<void> => {
  await Promise.all(seats.map(seat => seat.stop(ms)))
}
