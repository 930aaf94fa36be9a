import { addRecent, nothingRecent, type Recent, sumOf } from './recent.ts'
import { type Armed, addEvidence, crossed, firstOf, type Line, linesOf, type Rule } from './rule.ts'

/** Sums: calls, and for each line the calls above it. Counted so, the percentile is exact and costs no memory. */
type State = Armed & { readonly under: string; readonly recent: Recent; readonly ids: string[] }

/** The percentile that is looked at is above a line when more than this share of calls is. */
const slowShare = 0.05

/**
 * Calls have been slow for a while. Of a stream it is the time to its first token that counts: how long an answer then
 * goes on is for whoever asked for a long one.
 */
export const latency: Rule<'latency', State> = {
  name: 'latency',
  sees: ['tool.returned', 'llm.completed'],

  evolve(known, { event }, knobs) {
    if (!('outcome' in event) || (event.outcome !== 'success' && event.outcome !== 'error')) return known
    const ms = event.ttft_ms ?? event.latency_ms
    if (ms === undefined) return known
    const lines = linesOf(knobs, knobs.p95Ms)
    const under = `${knobs.window} ${lines.map(({ at }) => at).join(' ')}`
    const state = known?.under === under ? known : { peak: 0, under, recent: nothingRecent(), ids: [] }
    const above = lines.map(({ at }) => (ms > at ? 1 : 0))
    addRecent(state.recent, event.time, knobs.window, [1, ...above])
    if (above[0] === 1) addEvidence(state.ids, event.id)
    state.peak = peakAt(state.peak, state.recent, lines, knobs.min)
    return state
  },

  decide(before, state, _seen, knobs) {
    const lines = linesOf(knobs, knobs.p95Ms)
    const line = crossed(lines, before, state)
    if (line === null) return null
    const slow = sumOf(state.recent, 1 + lines.indexOf(line))
    const data = { p95_above_ms: line.at, calls: sumOf(state.recent, 0), slow, window_ms: knobs.window }
    return { line, evidence: state.ids, data }
  },
}

/** The highest line that is passed; half the share at the first line is calm again. */
function peakAt(peak: number, recent: Recent, lines: readonly Line[], min: number): number {
  const calls = sumOf(recent, 0)
  if (calls < min) return sumOf(recent, 1) === 0 ? 0 : peak
  const passed = lines.findLast((_, i) => sumOf(recent, 1 + i) > calls * slowShare)
  if (passed !== undefined) return Math.max(peak, passed.at)
  return sumOf(recent, 1) * 2 > calls * slowShare ? Math.min(peak, firstOf(lines)) : 0
}
