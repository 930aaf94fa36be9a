import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence, withLane } from './rule.ts'
import type { Lane } from './step.ts'

type State = Armed & Readonly<Record<Lane, Streak>>
type Streak = { readonly denials: number; readonly at: number; readonly ids: readonly string[] }
const none: Streak = { denials: 0, at: 0, ids: [] }

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
  initial: { peak: 0, tool: none, llm: none },

  evolve(state, { event }, knobs) {
    const isTool = event.type === 'tool.returned' || event.type === 'agent.returned'
    const lane: Lane = isTool || ('operation' in event && toolOperations.has(event.operation)) ? 'tool' : 'llm'
    const was = state[lane]
    const refused = 'outcome' in event && event.outcome === 'blocked'
    if (!refused && was === none) return state
    let streak = none
    if (refused) {
      if (!('reason' in event) || !denials.has(event.reason ?? '')) return state
      const latency = 'latency_ms' in event ? (event.latency_ms ?? 0) : 0
      if (event.time - latency < was.at) return state
      streak = { denials: was.denials + 1, at: event.time, ids: withEvidence(was.ids, event.id) }
    }
    const level = Math.max(streak.denials, lane === 'tool' ? state.llm.denials : state.tool.denials)
    return withLane(peakOf(state.peak, level, linesOf(knobs, knobs.count)), lane, streak, state)
  },

  decide(before, after, { event }, knobs) {
    const line = crossed(linesOf(knobs, knobs.count), before, after)
    if (line === null) return null
    const { denials: count, ids } = after.tool.denials > after.llm.denials ? after.tool : after.llm
    return { line, evidence: ids, data: { denials: count, reason: ('reason' in event && event.reason) || null } }
  },
}

const toolOperations: ReadonlySet<string> = new Set(['execute_tool', 'invoke_agent'])
