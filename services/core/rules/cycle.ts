import { type Armed, crossed, linesOf, peakOf, type Rule, withEvidence, withLane } from './rule.ts'
import { type Lane, pairOf } from './step.ts'

type State = Armed & Readonly<Record<Lane, Turns>>
type Turns = {
  /** Call and result of the last `maxPeriod` steps, the newest last. */
  readonly last: readonly number[]
  /** For each period, from 1 on: for how many steps in a row each was what stood a period before it. */
  readonly same: readonly number[]
  readonly rounds: number
  readonly period: number
  readonly ids: readonly string[]
}

/**
 * A-B-A-B…: steps that go round, call and result alike. Its work per step grows with `maxPeriod` alone, not with how long
 * it goes round.
 */
export const cycle: Rule<'cycle', State> = {
  name: 'cycle',
  sees: ['tool.returned', 'agent.returned', 'llm.completed'],
  initial: { peak: 0, tool: still(), llm: still() },

  evolve(state, { event, step }, knobs) {
    if (step === null || step.call === null || step.result === null || step.twin) return state
    const turns = turned(state[step.lane], pairOf(step.call, step.result), event.id, knobs.maxPeriod)
    const other = step.lane === 'tool' ? state.llm.rounds : state.tool.rounds
    const level = Math.max(turns.rounds, other)
    return withLane(peakOf(state.peak, level, linesOf(knobs, knobs.rounds)), step.lane, turns, state)
  },

  decide(before, after, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.rounds), before, after)
    if (line === null || step === null) return null
    const { rounds, period, ids } = after[step.lane]
    return {
      line,
      evidence: ids.slice(-period * rounds),
      data: { rounds, period, call: step.name, kind: step.lane },
    }
  },
}

function turned(turns: Turns, pair: number, id: string, maxPeriod: number): Turns {
  const { last } = turns
  const same = new Array<number>(maxPeriod)
  let rounds = 1
  let period = 1
  for (let p = 1; p <= maxPeriod; p++) {
    const run = last[last.length - p] === pair ? (turns.same[p - 1] ?? 0) + 1 : 0
    same[p - 1] = run
    const made = Math.floor(run / p) + 1
    if (made > rounds) {
      rounds = made
      period = p
    }
  }
  const kept = last.length < maxPeriod ? last : last.slice(last.length - maxPeriod + 1)
  return { last: [...kept, pair], same, rounds, period, ids: withEvidence(turns.ids, id) }
}

function still(): Turns {
  return { last: [], same: [], rounds: 0, period: 0, ids: [] }
}
