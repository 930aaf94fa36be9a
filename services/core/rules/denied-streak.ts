import { type Armed, addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'
import type { Lane } from './step.ts'

type State = Armed & Readonly<Record<Lane, Streak>>
type Streak = { denials: number; at: number; ids: string[] }
const none = (): Streak => ({ denials: 0, at: 0, ids: [] })

/**
 * Refusals that asking again does not change. A run that is paused or slowed down is told to come again, so its knocking
 * is no offence; and a run that is dead cannot be stopped once more.
 */
const denials: ReadonlySet<string> = new Set([
  'model_not_allowed',
  'tool_not_allowed',
  'delegation_not_allowed',
  'guardrail_blocked',
  'budget_exceeded',
  'max_steps_exceeded',
  'max_depth_exceeded',
])

/**
 * Denied again and again: the refusal itself has become what the run feeds on. Calls of models and of tools are counted
 * each for themselves, and only what was asked after the denial before it was told: of two hundred calls at once that a
 * cap refuses, one counts.
 */
export const deniedStreak: Rule<'deniedStreak', State> = {
  name: 'deniedStreak',
  sees: ['admission.refused', 'admission.granted', 'tool.returned', 'agent.returned'],

  evolve(known, { event }, knobs) {
    const isTool = event.type === 'tool.returned' || event.type === 'agent.returned'
    const lane: Lane = isTool || ('operation' in event && toolOperations.has(event.operation)) ? 'tool' : 'llm'
    const refused = 'outcome' in event && event.outcome === 'blocked'
    if (refused ? !('reason' in event && denials.has(event.reason ?? '')) : known === null) return known
    const state = known ?? { peak: 0, tool: none(), llm: none() }
    const streak = state[lane]
    if (!refused && streak.denials === 0) return state
    if (refused) {
      const latency = 'latency_ms' in event ? (event.latency_ms ?? 0) : 0
      if (event.time - latency < streak.at) return state
      streak.denials += 1
      streak.at = event.time
      addEvidence(streak.ids, event.id)
    } else Object.assign(streak, none())
    state.peak = peakOf(state.peak, Math.max(state.tool.denials, state.llm.denials), linesOf(knobs, knobs.count))
    return state
  },

  decide(before, state, { event }, knobs) {
    const line = crossed(linesOf(knobs, knobs.count), before, state)
    if (line === null) return null
    const { denials: count, ids } = state.tool.denials > state.llm.denials ? state.tool : state.llm
    return { line, evidence: ids, data: { denials: count, reason: ('reason' in event && event.reason) || null } }
  },
}

const toolOperations: ReadonlySet<string> = new Set(['execute_tool', 'invoke_agent'])
