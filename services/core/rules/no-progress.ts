import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence, withLane } from './rule.ts'
import { type Heard, heardNow, knew, type Lane, unheard } from './step.ts'

type State = Armed & Readonly<Record<Lane, Same>>
type Same = {
  readonly result: number | null
  readonly times: number
  readonly heard: Heard
  readonly ids: readonly string[]
}
const nothing: Same = { result: null, times: 0, heard: unheard, ids: [] }

/** The same result in a row, whatever was asked: "not found", "not found", "not found". */
export const noProgress: Rule<'noProgress', State> = {
  name: 'noProgress',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, tool: nothing, llm: nothing },

  evolve(state, { event, step }, knobs) {
    if (step === null || step.result === null) return state
    const was = state[step.lane]
    const isSame = step.result === was.result
    // Five searches at once that all find nothing are one disappointment.
    if (isSame && !knew(step, event, was.heard)) return state
    const now: Same = {
      result: step.result,
      times: isSame ? was.times + 1 : 1,
      heard: heardNow(step, event),
      ids: isSame ? withEvidence(was.ids, event.id) : [event.id],
    }
    const level = Math.max(now.times, step.lane === 'tool' ? state.llm.times : state.tool.times)
    return withLane(peakOf(state.peak, level, linesOf(knobs, knobs.sameResult)), step.lane, now, state)
  },

  decide(before, after, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.sameResult), before, after)
    if (line === null || step === null) return null
    const { times, ids } = after[step.lane]
    return { line, evidence: ids, data: { same_result: times, call: step.name, kind: step.lane } }
  },
}
