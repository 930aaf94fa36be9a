import type { Budget } from '../../../schemas/budget.ts'

/**
 * A budget's window at a time: a pure function, so nothing is ever reset and two machines never disagree. Times are Unix
 * milliseconds. `opensAt` is part of the window, `closesAt` is not: it opens the next one. Null: never.
 */
export type Window = { readonly id: string; readonly opensAt: number; readonly closesAt: number | null }

type Span = NonNullable<Budget['window']>
export type Period = Pick<Budget, 'window' | 'resetAtMinute' | 'timezone'>

const minuteMs = 60_000
const dayMs = 86_400_000
const monthMs = 30.436875 * dayMs
/** A Monday at midnight, so that weeks open on Mondays; months count from the first of its month, years from its year. */
const monday = Date.UTC(1970, 0, 5)

/**
 * The window that holds `now`. Windows of months and days follow the wall clock of the zone, so a day has 23 or 25 hours
 * where clocks change; windows of hours tile from the anchor by elapsed time. Costs some 20 µs where a zone is asked:
 * keep the answer until `closesAt`.
 */
export function windowAt(period: Period, now: number, anchor = monday): Window {
  const { window: span } = period
  if (span === null) return { id: 'life', opensAt: 0, closesAt: null }
  const opening =
    span.months === 0 && span.days === 0 ? (k: number) => anchor + k * span.ms : calendar(period, span, anchor)
  const usualMs = span.months * monthMs + span.days * dayMs + span.ms
  let k = Math.floor((now - opening(0)) / usualMs)
  while (opening(k) > now) k -= 1
  while (opening(k + 1) <= now) k += 1
  return { id: `${nameOf(span)}@${labelOf(period, span, opening(k))}`, opensAt: opening(k), closesAt: opening(k + 1) }
}

/** When the k-th window opens. Counted from the anchor each time: from the window before, a 31st would become a 28th. */
function calendar({ resetAtMinute, timezone }: Period, span: Span, anchor: number): (k: number) => number {
  const first = new Date(anchor + offsetMs(timezone, anchor))
  const day = span.months > 0 && anchor === monday ? 1 : first.getUTCDate()
  return k => {
    const month = first.getUTCMonth() + k * span.months
    const lastDay = new Date(Date.UTC(first.getUTCFullYear(), month + 1, 0)).getUTCDate()
    const wall =
      Date.UTC(first.getUTCFullYear(), month, Math.min(day, lastDay) + k * span.days) + resetAtMinute * minuteMs
    return instantOf(timezone, wall) + k * span.ms
  }
}

/**
 * When clocks in the zone show `wall` (as if it were UTC). An hour that comes twice means the first; one that is left out
 * means as long after the change as it would have been.
 */
function instantOf(timezone: string, wall: number): number {
  const before = wall - offsetMs(timezone, wall - dayMs)
  const after = wall - offsetMs(timezone, wall + dayMs)
  const shown = [Math.min(before, after), Math.max(before, after)].find(at => at + offsetMs(timezone, at) === wall)
  return shown ?? before
}

/** Made once per zone, because making one takes longer than a thousand uses. There are some 600 zones. */
const clocks = new Map<string, Intl.DateTimeFormat>()

/** How far clocks in the zone are ahead of UTC. */
function offsetMs(timezone: string, at: number): number {
  if (timezone === 'UTC') return 0
  const clock = clocks.get(timezone) ?? clockOf(timezone)
  const part = Object.fromEntries(clock.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(at / 1000) * 1000
}

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const numeric = 'numeric' as const
  const parts = { year: numeric, month: numeric, day: numeric, hour: numeric, minute: numeric, second: numeric }
  const clock = new Intl.DateTimeFormat('en-US', { timeZone, calendar: 'gregory', hourCycle: 'h23', ...parts })
  clocks.set(timeZone, clock)
  return clock
}

/** `1d`, `30h`, `1mo`; the same span in other words has the same name. */
export function nameOf({ months, days, ms }: Span): string {
  const hours = Math.floor(ms / (60 * minuteMs))
  const minutes = Math.floor(ms / minuteMs) % 60
  const rest = ms % minuteMs
  const parts = [months, days, hours, minutes, rest].map((n, i) =>
    n === 0 ? '' : `${n}${['mo', 'd', 'h', 'm', 'ms'][i]}`,
  )
  return parts.join('')
}

/** Two budgets of one scope whose windows differ have different labels: what opens at another hour says so. */
function labelOf({ resetAtMinute, timezone }: Period, span: Span, opensAt: number): string {
  if (span.ms > 0) return `${new Date(opensAt).toISOString()}${timezone === 'UTC' ? '' : `[${timezone}]`}`
  const wall = new Date(opensAt + offsetMs(timezone, opensAt)).toISOString()
  const zone = timezone === 'UTC' ? '' : `[${timezone}]`
  return resetAtMinute === 0 ? `${wall.slice(0, 10)}${zone}` : `${wall.slice(0, 16)}${zone}`
}
