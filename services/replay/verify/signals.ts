import type { Breakers } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { decodeSignal, type Signal } from '../../../schemas/stop.ts'
import { topics } from '../../../schemas/topics.ts'
import { fold, openRules, type Rules, replace } from '../../core/rules/rules.ts'
import { decideActs, durationRule } from '../../core/runs/acts.ts'
import { noStops } from '../../core/runs/stops.ts'
import type { LogRecord } from '../../io/log/port.ts'
import { type Check, differ, leave, placeOf } from './check.ts'

/**
 * Why somebody was stopped. What was asked for stands in the events, and what a rule decided comes out again when the
 * rules are folded over them, by the same ids; and whatever asks for a stop was granted one.
 *
 * Rules can be folded again where the policy that they went by is still known. Where it was changed on the way, or events
 * stand on several partitions, the enforcer saw them in an order that the log does not tell: what does not come out again
 * is then not said to be wrong.
 */
export type Signals = {
  /** The next record of control. */
  readonly decided: (record: LogRecord) => void
  /** The next event, in its partition's order. */
  readonly happened: (event: Event, partition: number) => void
  readonly compare: (terms: Terms) => void
}

export type Terms = {
  /** Unix ms: what was asked for since may not be decided yet. */
  readonly settledBefore: number
  /** Partitions of the events on which anything stands. */
  readonly partitions: number
  /** Events were given up, so causes may be gone. */
  readonly isWhole: boolean
  /** Records of control were given up by compaction. */
  readonly isCompacted: boolean
}

type Told = { readonly id: string; readonly offset: number; readonly signal: Signal }

/** @param policies those that are still known, by version */
export function openSignals(check: Check, policies: ReadonlyMap<string, Breakers>): Signals {
  const told: Told[] = []
  const decided = new Set<string>()
  const asked = new Map<string, number>()
  const ruled = new Map<string, number>()
  const named = new Set<string>()
  /** What signals point at; taken out as it is found. */
  const evidence = new Map<string, Told>()
  const unknown = new Set<string>()
  let rules: Rules | null = null

  /** Each event says which policy it came about under. */
  const rulesFor = (version: string): Rules | null => {
    const policy = policies.get(version)
    if (policy === undefined) unknown.add(version)
    else if (rules === null) rules = openRules(policy, version)
    else if (rules.version !== version) replace(rules, policy, version)
    return rules
  }

  return {
    decided(record) {
      const found = decodeSignal(record)
      if (found === null) return
      const { id, signal } = found
      const one = { id, offset: record.offset, signal }
      told.push(one)
      decided.add(id)
      for (const other of signal.data.decided) decided.add(other)
      for (const fact of [signal.data.cause, ...signal.evidence]) evidence.set(fact, one)
    },

    happened(event, partition) {
      if (evidence.size > 0) evidence.delete(event.id)
      const act = decideActs(noStops(), event)
      if (act !== null) asked.set(act.id, event.time)
      const version = event.policy_version
      if (version !== undefined) named.add(version)
      const folding = version === undefined ? rules : rulesFor(version)
      if (folding !== null) for (const signal of fold(folding, event, partition)) ruled.set(signal.id, event.time)
    },

    compare({ settledBefore, partitions, isWhole, isCompacted }) {
      const exact = named.size <= 1 && unknown.size === 0 && partitions <= 1 && isWhole
      let unchecked = 0
      for (const { id, offset, signal } of told) {
        const where = `${placeOf({ topic: topics.control.name, partition: 0 }, offset)} (${id})`
        const wanted = signal.rule === undefined || signal.rule === durationRule ? asked : ruled
        check.compared += 1
        if (wanted.has(id)) continue
        if (wanted === asked && isWhole) differ(check, where, `${signal.type} of ${signal.scope}: nobody asked for it`)
        else if (wanted === ruled && exact)
          differ(check, where, `${signal.type} of ${signal.scope}: rule ${signal.rule} does not come to it`)
        else unchecked += 1
      }
      if (isWhole)
        for (const [fact, { id, signal }] of evidence)
          differ(check, id, `${signal.type} of ${signal.scope} names ${fact}, which is no event`)
      const wants = [...asked, ...(exact && !isCompacted ? ruled : [])]
      for (const [id, time] of wants) {
        check.compared += 1
        if (decided.has(id)) continue
        if (time >= settledBefore) check.inFlight += 1
        else differ(check, id, 'ought to stand on control and does not')
      }
      if (unchecked === 0) return
      const why = !isWhole
        ? 'the log no longer reaches back to their causes'
        : unknown.size > 0
          ? `policy ${[...unknown].slice(0, 3).join(', ')} is no longer known`
          : named.size > 1
            ? 'the policy was changed on the way'
            : 'events stand on several partitions'
      leave(check, `${unchecked} signals of rules: ${why}`)
    },
  }
}
