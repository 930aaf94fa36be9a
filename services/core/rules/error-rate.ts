import { addRecent, sumOf, type Windowed, windowed } from './recent.ts'
import { addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'

/** More than a share of the calls of the last while have failed. */
export const errorRate: Rule<'errorRate', Windowed> = {
  name: 'errorRate',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  /** Sums: calls, errors. */
  evolve(known, { event }, knobs) {
    if (!('outcome' in event) || (event.outcome !== 'success' && event.outcome !== 'error')) return known
    const state = windowed(known, knobs.window)
    const failed = event.outcome === 'error'
    addRecent(state.recent, event.time, knobs.window, [1, failed ? 1 : 0])
    const calls = sumOf(state.recent, 0)
    const level = calls < knobs.min ? 0 : sumOf(state.recent, 1) / calls
    if (failed) addEvidence(state.ids, event.id)
    state.peak = peakOf(state.peak, level, linesOf(knobs, knobs.over))
    return state
  },

  decide(before, state, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.over), before, state, true)
    if (line === null) return null
    const data = { calls: sumOf(state.recent, 0), errors: sumOf(state.recent, 1), window_ms: knobs.window }
    return { line, evidence: state.ids, data }
  },
}
