import type { RuleName } from '../../../schemas/breakers.ts'
import type { Kept } from './kept.ts'

/**
 * How policies have followed each other: at which change a rule's states were void for the last time, and when what it
 * had said was to be said again. So what was put by before a change and comes back after it is treated as if it had been
 * there. JSON.
 */
export type Turns = {
  now: number
  readonly gone: Partial<Record<RuleName, number>>
  readonly rearmed: Partial<Record<RuleName, number>>
}

export const noTurns = (): Turns => ({ now: 0, gone: {}, rearmed: {} })

/** Another policy: of these rules the states are void, and those may speak again. */
export function turn(turns: Turns, gone: Iterable<RuleName>, rearmed: Iterable<RuleName>): void {
  turns.now += 1
  for (const name of gone) turns.gone[name] = turns.now
  for (const name of rearmed) turns.rearmed[name] = turns.now
}

/** Brings what is of the turn `since` into this one, in place. */
export function bringUp({ states }: Kept, turns: Turns, since: number): void {
  if (since === turns.now) return
  for (const name of Object.keys(states) as RuleName[]) {
    // Rules put their states under their own names.
    const state = states[name]
    if ((turns.gone[name] ?? 0) > since) delete states[name]
    else if (state !== undefined && (turns.rearmed[name] ?? 0) > since) state.peak = 0
  }
}
