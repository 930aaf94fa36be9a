import { type Armed, crossed, firstOf, linesOf, type Rule, withLane } from './rule.ts'
import { type Lane, pairOf } from './step.ts'

/** The last steps of each lane, oldest first: call and result as one number, and the event's id. */
type State = Armed & Readonly<Record<Lane, readonly Entry[]>>
type Entry = readonly [pair: number, id: string]

/**
 * The same call with the same result, again and again among the last steps. A call that is polled and hears something new
 * is no repeat. Nor is one that is made between other things which are new: who edits and tests, and sees the same test
 * fail, is at work; so the repeats have to outnumber what was new in between.
 */
export const loop: Rule<'loop', State> = {
  name: 'loop',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, tool: [], llm: [] },

  evolve(state, { event, step }, knobs) {
    if (step === null || step.call === null || step.result === null || step.twin) return state
    const entries = [...state[step.lane].slice(1 - knobs.within), [pairOf(step.call, step.result), event.id] as const]
    const level = repeatsIn(entries)
    // What was said stays said for as long as anything stands among them often enough, be it the last or not.
    const low = firstOf(linesOf(knobs, knobs.repeats)) / 2
    const calm = level < low && (state.peak < low || mostIn(entries) < low)
    return withLane(calm ? level : Math.max(state.peak, level), step.lane, entries, state)
  },

  decide(before, after, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.repeats), before, after)
    if (line === null || step === null) return null
    const entries = after[step.lane]
    const last = entries.at(-1)
    const same = entries.filter(([pair]) => pair === last?.[0])
    return {
      line,
      evidence: same.map(([, id]) => id).slice(-24),
      data: { repeats: same.length, within: entries.length, call: step.name, kind: step.lane },
    }
  },
}

/** How often the last entry stands among them, 0 where more of what lies in between is new. */
function repeatsIn(entries: readonly Entry[]): number {
  const last = entries.at(-1)?.[0]
  let repeats = 0
  let first = entries.length
  for (let i = entries.length - 1; i >= 0; i--)
    if (entries[i]?.[0] === last) {
      repeats++
      first = i
    }
  if (repeats < 3) return repeats
  const known = new Set<number>()
  let fresh = 0
  for (const [i, [pair]] of entries.entries()) {
    if (i > first && !known.has(pair)) fresh++
    known.add(pair)
  }
  return fresh < repeats ? repeats : 0
}

/** How often the commonest entry stands among them. */
function mostIn(entries: readonly Entry[]): number {
  const counts = new Map<number, number>()
  for (const [pair] of entries) counts.set(pair, (counts.get(pair) ?? 0) + 1)
  return Math.max(0, ...counts.values())
}
