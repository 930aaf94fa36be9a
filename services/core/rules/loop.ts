import { type Armed, crossed, firstOf, lastOf, linesOf, type Rule, topOf, withLane } from './rule.ts'
import { type Lane, pairOf } from './step.ts'

/** The last steps of each lane, oldest first: call and result as one number, the event's id, and the call. */
type State = Armed & Readonly<Record<Lane, readonly Entry[]>>
type Entry = readonly [pair: number, id: string, call: number]

/**
 * The same call with the same result, again and again among the last steps. A call that is polled and hears something new
 * is no repeat. Nor is one that is made between other things which are new: who edits and tests, and sees the same test
 * fail, is at work; so the repeats have to outnumber what was new in between. And while anything that is polled moves on,
 * waiting for something else that does not is no loop.
 */
export const loop: Rule<'loop', State> = {
  name: 'loop',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, tool: [], llm: [] },

  evolve(state, { event, step }, knobs) {
    if (step === null || step.call === null || step.result === null || step.twin) return state
    const entry: Entry = [pairOf(step.call, step.result), event.id, step.call]
    const lines = linesOf(knobs, knobs.repeats)
    const entries = [...lastOf(state[step.lane], Math.max(knobs.within, topOf(lines)) - 1), entry]
    const level = repeatsIn(entries)
    // What was said stays said for as long as anything stands among them often enough, be it the last or not.
    const low = firstOf(lines) / 2
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
  const news = new Map<number, number>()
  let fresh = 0
  for (const [i, [pair, , call]] of entries.entries()) {
    if (i > first && !known.has(pair)) {
      fresh++
      const heard = (news.get(call) ?? 0) + 1
      if (heard >= movingAt) return 0
      news.set(call, heard)
    }
    known.add(pair)
  }
  return fresh < repeats ? repeats : 0
}

/** A call that has brought so many new results in between is a poll of something that moves. */
const movingAt = 3

/** How often the commonest entry stands among them. */
function mostIn(entries: readonly Entry[]): number {
  const counts = new Map<number, number>()
  for (const [pair] of entries) counts.set(pair, (counts.get(pair) ?? 0) + 1)
  return Math.max(0, ...counts.values())
}
