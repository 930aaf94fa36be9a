import { nothingRecent, type Recent, sumOf, withRecent } from './recent.ts'
import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence } from './rule.ts'

/** Sums: retries. */
type State = Armed & { readonly windowMs: number; readonly recent: Recent; readonly ids: readonly string[] }

/**
 * Calls that failed are made again unchanged, by whoever asks or by the gateway itself, over and over: what keeps a
 * provider down that was about to come back.
 */
export const retryStorm: Rule<'retryStorm', State> = {
  name: 'retryStorm',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, windowMs: 0, recent: nothingRecent, ids: [] },

  evolve(state, { event, step }, knobs) {
    const ours = 'attempts' in event && event.attempts !== undefined ? Math.max(0, event.attempts - 1) : 0
    const retries = ours + (step?.retry === true ? 1 : 0)
    const isCalm = retries === 0 && state.peak === 0
    if (isCalm) return state
    const before = state.windowMs === knobs.window ? state.recent : nothingRecent
    const recent = withRecent(before, event.time, knobs.window, [retries])
    const ids = retries > 0 ? withEvidence(state.ids, event.id) : state.ids
    const peak = peakOf(state.peak, sumOf(recent, 0), linesOf(knobs, knobs.retries))
    return { windowMs: knobs.window, recent, ids, peak }
  },

  decide(before, after, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.retries), before, after)
    if (line === null) return null
    return { line, evidence: after.ids, data: { retries: sumOf(after.recent, 0), window_ms: knobs.window } }
  },
}
