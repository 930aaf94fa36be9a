import type { Alert } from '../../schemas/alert.ts'
import { header } from '../../schemas/envelope.ts'
import { decodeRaw, type Event, encode, type Message } from '../../schemas/events.ts'
import type { RuleSignal } from '../../schemas/signal.ts'
import { signalKey } from '../../schemas/stop.ts'
import { fold, hears, type Rules } from '../core/rules/rules.ts'
import { type Alerted, acts, alertsOf, type Decided, decide, decideActs, wishOf } from '../core/runs/acts.ts'
import { foldStop, type Stops } from '../core/runs/stops.ts'
import type { Batch, LogRecord } from '../io/log/port.ts'
import type { Alerts } from './alerts.ts'
import type { Control } from './control.ts'

/**
 * Who is stopped, and why: events are folded by the rules, and facts in which somebody asks for a stop are granted. What
 * is decided stands on control before the batch counts as read, so a crash in between decides the same again, under the
 * same ids.
 */
export type Judge = {
  /**
   * What lies before the offset `from` was judged already and is only remembered.
   * @returns whether anything was decided
   */
  readonly read: (batch: Batch, from?: number) => Promise<boolean>
}

export type JudgeOptions = {
  /** As control has it; what is decided here is folded into it at once. */
  readonly stops: Stops
  readonly rules: Rules
  /** Whether it grants what is asked for: of each partition one judge does. */
  readonly acts: boolean
  readonly control: Control
  readonly alerts: Alerts
  readonly source: string
}

export function openJudge({ stops, rules, acts: grants, control, alerts, source }: JudgeOptions): Judge {
  const isAct = (type: Event['type']): boolean => grants && acts.has(type)

  const judge = (event: Event, partition: number, { decisions, told }: Judged): void => {
    const take = (decided: Decided | null, also: Alerted | null): void => {
      if (decided === null) return
      foldStop(stops, decided.signal, decided.time)
      decisions.push(decided)
      told.push(...alertsOf(decided), ...(also === null ? [] : [also]))
    }
    if (isAct(event.type)) take(decideActs(stops, event), null)
    for (const signal of fold(rules, event, partition)) take(decide(stops, wishOf(signal)), alertOf(signal))
  }

  return {
    async read({ partition, records }, from = 0) {
      const judged: Judged = { decisions: [], told: [] }
      for (const record of records) {
        const type = record.headers[header.type] as Event['type'] // of another nobody has heard: it is passed over
        if (!hears(rules, type) && !isAct(type)) continue
        const event = eventIn(record)
        if (event === null) continue
        if (record.offset < from) fold(rules, event, partition)
        else judge(event, partition, judged)
      }
      const { decisions, told } = judged
      if (decisions.length === 0) return false
      await control.write(decisions.map(decided => messageOf(decided, source)))
      await Promise.all(told.map(({ id, time, alert }) => alerts.raise(id, alert, time)))
      return true
    },
  }
}

/** Of one batch. */
type Judged = { readonly decisions: Decided[]; readonly told: Alerted[] }

/** Gateways write events from checked types: they are not checked again. Null for what cannot be read. */
function eventIn(record: LogRecord): Event | null {
  try {
    return decodeRaw(record) as Event
  } catch {
    return null // the sink tells the world about it
  }
}

function messageOf({ id, time, signal }: Decided, source: string): Message {
  const event = { id, source, time, ...signal }
  return encode(event, signalKey(signal))
}

/** Of what kind an alert is that a rule causes, beside the stop itself. */
const kinds: Readonly<Record<string, Alert['type']>> = {
  loop: 'loop.detected',
  cycle: 'loop.detected',
  noProgress: 'loop.detected',
  nearRepeat: 'loop.detected',
  errorStreak: 'errors.rate',
  errorRate: 'errors.rate',
}

function alertOf(signal: RuleSignal): Alerted {
  const { rule, scope, action, mode, run_id, agent, evidence, policy_version, cost_nano_usd, data, time } = signal
  const type = kinds[rule] ?? 'breaker.opened'
  const about = { scope, run_id, agent, rule, action, mode, evidence: [...evidence], policy_version }
  return { id: `${signal.id}:${type}`, time, alert: { type, ...about, data: { ...data, cost_nano_usd } } }
}
