import { nothingRecent, type Recent, sumOf, withRecent } from './recent.ts'
import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence } from './rule.ts'

/** Sums: nano-dollars, tokens. */
type State = Armed & { readonly windowMs: number; readonly recent: Recent; readonly ids: readonly string[] }

/** Money or tokens go faster than they should, whatever is left of the budget. Its lines are times the limit. */
export const velocity: Rule<'velocity', State> = {
  name: 'velocity',
  sees: ['llm.completed', 'tool.returned', 'agent.returned'],
  initial: { peak: 0, windowMs: 0, recent: nothingRecent, ids: [] },

  evolve(state, { event }, knobs) {
    if (!('outcome' in event) || (knobs.usd === undefined && knobs.tokens === undefined)) return state
    const tokens = (event.input_tokens ?? 0) + (event.output_tokens ?? 0)
    const nano = event.cost_nano_usd ?? 0
    if (tokens === 0 && nano === 0) return state
    const before = state.windowMs === knobs.window ? state.recent : nothingRecent
    const recent = withRecent(before, event.time, knobs.window, [nano, tokens])
    const ofUsd = knobs.usd === undefined ? 0 : sumOf(recent, 0) / (knobs.usd * 1e9)
    const ofTokens = knobs.tokens === undefined ? 0 : sumOf(recent, 1) / knobs.tokens
    const peak = peakOf(state.peak, Math.max(ofUsd, ofTokens), linesOf(knobs, 1))
    return { windowMs: knobs.window, recent, ids: withEvidence(state.ids, event.id), peak }
  },

  decide(before, after, _seen, knobs) {
    const line = crossed(linesOf(knobs, 1), before, after, true)
    if (line === null) return null
    const data = { nano_usd: sumOf(after.recent, 0), tokens: sumOf(after.recent, 1), window_ms: knobs.window }
    return { line, evidence: after.ids, data }
  },
}
