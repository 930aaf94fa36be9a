import type { Event } from '../../../schemas/events.ts'
import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence, withLane } from './rule.ts'
import { type Heard, heardNow, knew, type Lane, type Step, unheard } from './step.ts'

type State = Armed & Readonly<Record<Lane, Streak>>
type Streak = {
  readonly errors: number
  /** The last one that was counted. */
  readonly heard: Heard
  readonly ids: readonly string[]
}

const noErrors: Streak = { errors: 0, heard: unheard, ids: [] }

/**
 * Errors in a row, of tools and of models each for themselves: between two failures of a tool its model answers. Calls
 * that were under way together and fail together are one: whoever made them had not heard yet.
 */
export const errorStreak: Rule<'errorStreak', State> = {
  name: 'errorStreak',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, tool: noErrors, llm: noErrors },

  evolve(state, { event, step }, knobs) {
    if (step === null || step.isAnew || !('outcome' in event)) return state
    const streak = state[step.lane]
    const next = after(streak, event, step, event.outcome)
    if (next === streak) return state
    const level = Math.max(next.errors, step.lane === 'tool' ? state.llm.errors : state.tool.errors)
    return withLane(peakOf(state.peak, level, linesOf(knobs, knobs.count)), step.lane, next, state)
  },

  decide(before, after, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.count), before, after)
    if (line === null || step === null) return null
    const { errors, ids } = after[step.lane]
    return { line, evidence: ids, data: { errors, call: step.name, kind: step.lane } }
  },
}

function after(streak: Streak, event: Event, step: Step, outcome: string): Streak {
  if (outcome === 'success') return streak.errors === 0 ? streak : noErrors
  // What was stopped or given up says nothing of whether it would have worked.
  if (outcome !== 'error' || !knew(step, event, streak.heard)) return streak
  return { errors: streak.errors + 1, heard: heardNow(step, event), ids: withEvidence(streak.ids, event.id) }
}
