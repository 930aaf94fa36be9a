import { nothingRecent, type Recent, sumOf, withRecent } from './recent.ts'
import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence } from './rule.ts'

/** Sums: calls, errors. */
type State = Armed & { readonly windowMs: number; readonly recent: Recent; readonly ids: readonly string[] }

/** More than a share of the calls of the last while have failed. */
export const errorRate: Rule<'errorRate', State> = {
  name: 'errorRate',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, windowMs: 0, recent: nothingRecent, ids: [] },

  evolve(state, { event }, knobs) {
    if (!('outcome' in event) || (event.outcome !== 'success' && event.outcome !== 'error')) return state
    const failed = event.outcome === 'error'
    const before = state.windowMs === knobs.window ? state.recent : nothingRecent
    const recent = withRecent(before, event.time, knobs.window, [1, failed ? 1 : 0])
    const calls = sumOf(recent, 0)
    const level = calls < knobs.min ? 0 : sumOf(recent, 1) / calls
    const ids = failed ? withEvidence(state.ids, event.id) : state.ids
    return { windowMs: knobs.window, recent, ids, peak: peakOf(state.peak, level, linesOf(knobs, knobs.over)) }
  },

  decide(before, after, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.over), before, after, true)
    if (line === null) return null
    const data = { calls: sumOf(after.recent, 0), errors: sumOf(after.recent, 1), window_ms: knobs.window }
    return { line, evidence: after.ids, data }
  },
}
