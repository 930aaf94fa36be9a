import type { Knobs } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { type Armed, crossed, lastOf, linesOf, peakOf, type Rule, runScope, scopeOf, topOf } from './rule.ts'

type State = Armed & { readonly children: readonly Child[]; readonly below: readonly Child[] }
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
  initial: { peak: 0, children: [], below: [] },

  evolve(state, { event }, knobs, scope) {
    const isChild = knobs.scope !== 'run' || scope === runScope(event.parent_run_id ?? '')
    const isBelow = knobs.scope === 'run' && scope === runScope(event.root_run_id)
    const lines = linesOf(knobs, knobs.children)
    const most = Math.ceil(topOf(lines))
    const children = isChild ? withChild(state.children, event, knobs, most) : state.children
    const below = isBelow ? withChild(state.below, event, knobs, Math.ceil(most * ratio(knobs))) : state.below
    if (children === state.children && below === state.below) return state
    // Both in the unit of the lines: children.
    const level = Math.max(children.length, Math.floor(below.length / ratio(knobs)))
    return { children, below, peak: peakOf(state.peak, level, lines) }
  },

  decide(before, after, _seen, knobs) {
    const line = crossed(linesOf(knobs, knobs.children), before, after)
    if (line === null) return null
    const all = after.children.length >= line.at ? after.children : after.below
    const data = { children: after.children.length, descendants: after.below.length, window_ms: knobs.window }
    return { line, evidence: all.slice(-24).map(([, , id]) => id), data }
  },
}

/** The last line's worth of runs is kept, a thousand children at most: more would change nothing. */
function withChild(known: readonly Child[], event: Event, { window }: Knobs<'spawnStorm'>, most: number) {
  if (known.some(([run]) => run === event.run_id)) return known
  const recent = known.filter(([, time]) => time > event.time - window)
  const child: Child = [event.run_id, event.time, event.id]
  return [...lastOf(recent, Math.min(most, mostKept) - 1), child]
}
const mostKept = 1_000

const ratio = ({ children, descendants }: Knobs<'spawnStorm'>): number => descendants / children
