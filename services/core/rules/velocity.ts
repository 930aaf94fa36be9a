import { addRecent, sumOf, type Windowed, windowed } from './recent.ts'
import { addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'

/** Money or tokens go faster than they should, whatever is left of the budget. Its lines are times the limit. */
export const velocity: Rule<'velocity', Windowed> = {
  name: 'velocity',
  sees: ['llm.completed', 'tool.returned', 'agent.returned'],

  /** Sums: nano-dollars, tokens. */
  evolve(known, { event }, knobs) {
    if (!('outcome' in event) || (knobs.usd === undefined && knobs.tokens === undefined)) return known
    const tokens = (event.input_tokens ?? 0) + (event.output_tokens ?? 0)
    const nano = event.cost_nano_usd ?? 0
    if (tokens === 0 && nano === 0) return known
    const state = windowed(known, knobs.window)
    const { recent, ids } = state
    addRecent(recent, event.time, knobs.window, [nano, tokens])
    const ofUsd = knobs.usd === undefined ? 0 : sumOf(recent, 0) / (knobs.usd * 1e9)
    const ofTokens = knobs.tokens === undefined ? 0 : sumOf(recent, 1) / knobs.tokens
    addEvidence(ids, event.id)
    state.peak = peakOf(state.peak, Math.max(ofUsd, ofTokens), linesOf(knobs, 1))
    return state
  },

  decide(before, state, _seen, knobs) {
    const line = crossed(linesOf(knobs, 1), before, state, true)
    if (line === null) return null
    const data = { nano_usd: sumOf(state.recent, 0), tokens: sumOf(state.recent, 1), window_ms: knobs.window }
    return { line, evidence: state.ids, data }
  },
}
