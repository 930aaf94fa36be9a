import { type Armed, append, crossed, linesOf, peakOf, type Rule, topOf } from './rule.ts'
import { alike, type Words, wordsIn } from './words.ts'

type State = Armed & {
  /** The last wishes in words, oldest first: of which tool or agent, in which words. */
  readonly wishes: Wish[]
  /** Of the last `within` steps those that brought no new wish: the step's number and the event's id. */
  stale: (readonly [at: number, id: string])[]
  steps: number
}
type Wish = readonly [of: string, words: Words]

/** A wish is compared with so many before it of the same tool or agent. */
const comparedWith = 4
const wishesKept = 12

/**
 * The same wish in other words: what is asked of a tool or an agent, in sentences, has most of its words in common with
 * what was asked of it shortly before. Words are a hint and no proof, so it warns and never kills. It reads the preview of
 * the arguments: where none is captured, it is silent.
 */
export const nearRepeat: Rule<'nearRepeat', State> = {
  name: 'nearRepeat',
  sees: ['tool.returned', 'agent.returned'],

  evolve(known, { event, step }, knobs) {
    if (step === null || step.twin || !('args' in event)) return known
    const state: State = known ?? { peak: 0, wishes: [], stale: [], steps: 0 }
    state.steps += 1
    const words = event.args === undefined ? null : wordsIn(event.args, knobs.minWords)
    const before = words === null ? [] : state.wishes.filter(([of]) => of === step.name).slice(-comparedWith)
    const isStale = words !== null && before.some(([, others]) => alike(words, others) >= knobs.alike)
    const lines = linesOf(knobs, knobs.count)
    const since = state.steps - Math.max(knobs.within, topOf(lines))
    if (state.stale.length > 0) state.stale = state.stale.filter(([at]) => at > since)
    if (isStale) state.stale.push([state.steps, event.id])
    if (words !== null) append(state.wishes, [step.name, words], wishesKept)
    state.peak = peakOf(state.peak, state.stale.length, lines)
    return state
  },

  decide(before, state, { step }, knobs) {
    const line = crossed(linesOf(knobs, knobs.count), before, state)
    if (line === null || step === null) return null
    const ids = state.stale.map(([, id]) => id)
    return { line, evidence: ids, data: { alike: ids.length, within: knobs.within, call: step.name } }
  },
}
