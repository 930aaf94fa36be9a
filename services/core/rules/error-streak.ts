import { type Armed, addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'
import { type Heard, heardNow, knew, type Lane, unheard } from './step.ts'

type State = Armed & Readonly<Record<Lane, Streak>>
type Streak = {
  errors: number
  /** The last one that was counted. */
  heard: Heard
  ids: string[]
}

const noErrors = (): Streak => ({ errors: 0, heard: unheard, ids: [] })

/**
 * Errors in a row, of tools and of models each for themselves: between two failures of a tool its model answers. Calls
 * that were under way together and fail together are one: whoever made them had not heard yet.
 */
export const errorStreak: Rule<'errorStreak', State> = {
  name: 'errorStreak',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  evolve(known, { event, step }, knobs) {
    if (step === null || step.isAnew || !('outcome' in event)) return known
    // What was stopped or given up says nothing of whether it would have worked.
    if (event.outcome !== 'error' && (event.outcome !== 'success' || known === null)) return known
    const state = known ?? { peak: 0, tool: noErrors(), llm: noErrors() }
    const streak = state[step.lane]
    if (event.outcome === 'success') {
      if (streak.errors === 0) return state
      Object.assign(streak, noErrors())
    } else {
      if (!knew(step, event, streak.heard)) return state
      streak.errors += 1
      streak.heard = heardNow(step, event)
      addEvidence(streak.ids, event.id)
    }
    state.peak = peakOf(state.peak, Math.max(state.tool.errors, state.llm.errors), linesOf(knobs, knobs.count))
    return state
  },

  decide(before, state, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.count), before, state)
    if (line === null || step === null) return null
    const { errors, ids } = state[step.lane]
    return { line, evidence: ids, data: { errors, call: step.name, kind: step.lane } }
  },
}
