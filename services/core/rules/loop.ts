import { type Armed, append, crossed, firstOf, linesOf, type Rule, topOf } from './rule.ts'
import { type Lane, pairOf } from './step.ts'

type State = Armed & Readonly<Record<Lane, Steps>>
/** The last steps of a lane, oldest first: of each, call and result as one number, the call, and the event's id. */
type Steps = { readonly pairs: number[]; readonly calls: number[]; readonly ids: string[] }
const noSteps = (): Steps => ({ pairs: [], calls: [], ids: [] })

/**
 * The same call with the same result, again and again among the last steps. A call that is polled and hears something new
 * is no repeat. Nor is one that is made between other things which are new: who edits and tests, and sees the same test
 * fail, is at work; so the repeats have to outnumber what was new in between. And while anything that is polled moves on,
 * waiting for something else that does not is no loop.
 */
export const loop: Rule<'loop', State> = {
  name: 'loop',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  evolve(known, { event, step }, knobs) {
    if (step === null || step.call === null || step.result === null || step.twin) return known
    const state = known ?? { peak: 0, tool: noSteps(), llm: noSteps() }
    const steps = state[step.lane]
    const lines = linesOf(knobs, knobs.repeats)
    const most = Math.max(knobs.within, Math.ceil(topOf(lines)))
    append(steps.pairs, pairOf(step.call, step.result), most)
    append(steps.calls, step.call, most)
    append(steps.ids, event.id, most)
    const level = repeatsIn(steps)
    // What was said stays said for as long as anything stands among them often enough, be it the last or not.
    const low = firstOf(lines) / 2
    const calm = level < low && (state.peak < low || mostIn(steps) < low)
    state.peak = calm ? level : Math.max(state.peak, level)
    return state
  },

  decide(before, state, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.repeats), before, state)
    if (line === null || step === null) return null
    const { pairs, ids } = state[step.lane]
    const same = ids.filter((_, i) => pairs[i] === pairs.at(-1))
    return {
      line,
      evidence: same,
      data: { repeats: same.length, within: ids.length, call: step.name, kind: step.lane },
    }
  },
}

/** How often the last entry stands among them, 0 where more of what lies in between is new. */
function repeatsIn({ pairs, calls }: Steps): number {
  const last = pairs.at(-1)
  let repeats = 0
  let first = pairs.length
  for (let i = pairs.length - 1; i >= 0; i--)
    if (pairs[i] === last) {
      repeats++
      first = i
    }
  if (repeats < 3) return repeats
  const known = new Set<number>()
  const news = new Map<number, number>()
  let fresh = 0
  for (const [i, pair] of pairs.entries()) {
    if (i > first && !known.has(pair)) {
      fresh++
      const call = calls[i] ?? 0
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
function mostIn({ pairs }: Steps): number {
  const counts = new Map<number, number>()
  for (const pair of pairs) counts.set(pair, (counts.get(pair) ?? 0) + 1)
  return Math.max(0, ...counts.values())
}
