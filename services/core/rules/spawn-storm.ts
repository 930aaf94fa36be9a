import type { Knobs } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { type Armed, append, crossed, linesOf, peakOf, type Rule, runScope, scopeOf, topOf } from './rule.ts'

type State = Armed & { children: Child[]; below: Child[] }
type Child = readonly [run: string, time: number, id: string]

/**
 * A run spawns runs faster than anybody reads them. Looked at are its own children, and at the root all runs below it: a
 * run that makes two which make two is a storm of which no single one has many. A child is one, however many gateways have
 * seen it start.
 */
export const spawnStorm: Rule<'spawnStorm', State> = {
  name: 'spawnStorm',
  sees: ['run.started'],
  scopes({ event }, { scope }) {
    const { parent_run_id: parent, root_run_id: root } = event
    if (parent === undefined) return []
    if (scope !== 'run') return [scopeOf(event, scope) ?? []].flat()
    return parent === root ? [runScope(parent)] : [runScope(parent), runScope(root)]
  },

  evolve(known, { event }, knobs, scope) {
    const state: State = known ?? { peak: 0, children: [], below: [] }
    const isChild = knobs.scope !== 'run' || scope === runScope(event.parent_run_id ?? '')
    const isBelow = knobs.scope === 'run' && scope === runScope(event.root_run_id)
    const lines = linesOf(knobs, knobs.children)
    const most = Math.ceil(topOf(lines))
    const { children, below } = state
    if (isChild) state.children = withChild(children, event, knobs, most)
    if (isBelow) state.below = withChild(below, event, knobs, Math.ceil(most * ratio(knobs)))
    if (children === state.children && below === state.below) return known
    // Both in the unit of the lines: children.
    const level = Math.max(state.children.length, Math.floor(state.below.length / ratio(knobs)))
    state.peak = peakOf(state.peak, level, lines)
    return state
  },

  decide(before, state, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.children), before, state)
    if (line === null) return null
    const all = state.children.length >= line.at ? state.children : state.below
    const data = { children: state.children.length, descendants: state.below.length, window_ms: knobs.window }
    return { line, evidence: all.map(([, , id]) => id), data }
  },
}

/** The last line's worth of runs is kept, a thousand children at most: more would change nothing. */
function withChild(known: Child[], event: Event, { window }: Knobs<'spawnStorm'>, most: number): Child[] {
  if (known.some(([run]) => run === event.run_id)) return known
  const recent = known.filter(([, time]) => time > event.time - window)
  append(recent, [event.run_id, event.time, event.id], Math.min(most, mostKept))
  return recent
}
const mostKept = 1_000

const ratio = ({ children, descendants }: Knobs<'spawnStorm'>): number => descendants / children
