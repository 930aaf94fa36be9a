import { type Armed, addEvidence, append, crossed, linesOf, peakOf, type Rule } from './rule.ts'
import { type Lane, pairOf } from './step.ts'

type State = Armed & Readonly<Record<Lane, Turns>>
type Turns = {
  /** Call and result of the last `maxPeriod` steps, the newest last. */
  readonly last: number[]
  /** For each period, from 1 on: for how many steps in a row each was what stood a period before it. */
  readonly same: number[]
  rounds: number
  period: number
  readonly ids: string[]
}

/**
 * A-B-A-B…: steps that go round, call and result alike. Its work per step grows with `maxPeriod` alone, not with how long
 * it goes round.
 */
export const cycle: Rule<'cycle', State> = {
  name: 'cycle',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],

  evolve(known, { event, step }, knobs) {
    if (step === null || step.call === null || step.result === null || step.twin) return known
    const state = known ?? { peak: 0, tool: still(), llm: still() }
    const turns = state[step.lane]
    turn(turns, pairOf(step.call, step.result), knobs.maxPeriod)
    addEvidence(turns.ids, event.id)
    state.peak = peakOf(state.peak, Math.max(state.tool.rounds, state.llm.rounds), linesOf(knobs, knobs.rounds))
    return state
  },

  decide(before, state, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.rounds), before, state)
    if (line === null || step === null) return null
    const { rounds, period, ids } = state[step.lane]
    return {
      line,
      evidence: ids.slice(-period * rounds),
      data: { rounds, period, call: step.name, kind: step.lane },
    }
  },
}

function turn(turns: Turns, pair: number, maxPeriod: number): void {
  const { last, same } = turns
  turns.rounds = 1
  turns.period = 1
  same.length = Math.min(same.length, maxPeriod)
  for (let p = 1; p <= maxPeriod; p++) {
    const run = last[last.length - p] === pair ? (same[p - 1] ?? 0) + 1 : 0
    same[p - 1] = run
    const made = Math.floor(run / p) + 1
    if (made > turns.rounds) {
      turns.rounds = made
      turns.period = p
    }
  }
  append(last, pair, maxPeriod)
}

const still = (): Turns => ({ last: [], same: [], rounds: 0, period: 0, ids: [] })
