import { addRecent, sumOf, type Windowed, windowed } from './recent.ts'
import { addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'

/**
 * Calls that failed are made again unchanged, by whoever asks or by the gateway itself, over and over: what keeps a
 * provider down that was about to come back.
 */
export const retryStorm: Rule<'retryStorm', Windowed> = {
  name: 'retryStorm',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  /** Sums: retries. */
  evolve(known, { event, step }, knobs) {
    const ours = 'attempts' in event && event.attempts !== undefined ? Math.max(0, event.attempts - 1) : 0
    const retries = ours + (step?.retry === true ? 1 : 0)
    const isCalm = retries === 0 && (known === null || known.peak === 0)
    if (isCalm) return known
    const state = windowed(known, knobs.window)
    addRecent(state.recent, event.time, knobs.window, [retries])
    if (retries > 0) addEvidence(state.ids, event.id)
    state.peak = peakOf(state.peak, sumOf(state.recent, 0), linesOf(knobs, knobs.retries))
    return state
  },

  decide(before, state, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.retries), before, state)
    if (line === null) return null
    return { line, evidence: state.ids, data: { retries: sumOf(state.recent, 0), window_ms: knobs.window } }
  },
}
