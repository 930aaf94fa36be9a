import { type Armed, addEvidence, crossed, linesOf, peakOf, type Rule } from './rule.ts'
import { type Heard, heardNow, knew, type Lane, unheard } from './step.ts'

type State = Armed & Readonly<Record<Lane, Same>>
type Same = {
  result: number | null
  times: number
  heard: Heard
  ids: string[]
}
const nothing = (): Same => ({ result: null, times: 0, heard: unheard, ids: [] })

/** The same result in a row, whatever was asked: "not found", "not found", "not found". */
export const noProgress: Rule<'noProgress', State> = {
  name: 'noProgress',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  evolve(known, { event, step }, knobs) {
    if (step === null || step.result === null) return known
    const state = known ?? { peak: 0, tool: nothing(), llm: nothing() }
    const same = state[step.lane]
    if (step.result === same.result) {
      // Five searches at once that all find nothing are one disappointment.
      if (!knew(step, event, same.heard)) return state
      same.times += 1
      addEvidence(same.ids, event.id)
    } else {
      same.result = step.result
      same.times = 1
      same.ids = [event.id]
    }
    same.heard = heardNow(step, event)
    state.peak = peakOf(state.peak, Math.max(state.tool.times, state.llm.times), linesOf(knobs, knobs.sameResult))
    return state
  },

  decide(before, state, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.sameResult), before, state)
    if (line === null || step === null) return null
    const { times, ids } = state[step.lane]
    return { line, evidence: ids, data: { same_result: times, call: step.name, kind: step.lane } }
  },
}
