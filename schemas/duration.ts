import { z } from 'zod'

/**
 * A span as people write it. Months and days are kept apart from milliseconds, because a month has no fixed length and a
 * day has 23 hours once a year where clocks change.
 */
export type Duration = { readonly months: number; readonly days: number; readonly ms: number }

const dayMs = 86_400_000
const unit: Readonly<Record<string, Duration>> = {
  mo: { months: 1, days: 0, ms: 0 },
  w: { months: 0, days: 7, ms: 0 },
  d: { months: 0, days: 1, ms: 0 },
  h: { months: 0, days: 0, ms: 3_600_000 },
  m: { months: 0, days: 0, ms: 60_000 },
  s: { months: 0, days: 0, ms: 1000 },
  ms: { months: 0, days: 0, ms: 1 },
}
const short = /^(?:(\d+)mo)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/
const iso = /^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/
/** A century: beyond it somebody mistyped, and sums stay whole numbers. */
const longestMs = 36_525 * dayMs

/** `30h`, `7d`, `5m`, `1h30m`, `1mo`, `PT5M`, `P1D`. Null where it is none of these, zero, or longer than a century. */
export function parseDuration(text: string): Duration | null {
  if (text.length > 40) return null
  const whole = add(count(short.exec(text)?.slice(1), ['mo', 'w', 'd', 'h', 'm', 's', 'ms']), isoOf(text))
  const roughMs = whole.months * 31 * dayMs + whole.days * dayMs + whole.ms
  return roughMs > 0 && roughMs <= longestMs ? whole : null
}

/** Milliseconds, a day as 24 hours; null where it holds months. */
export const spanMs = (span: Duration): number | null => (span.months > 0 ? null : span.days * dayMs + span.ms)

function isoOf(text: string): Duration {
  const [years, ...rest] = iso.exec(text)?.slice(1) ?? []
  const inYears = Number(years ?? 0) * 12
  return add({ months: inYears, days: 0, ms: 0 }, count(rest, ['mo', 'w', 'd', 'h', 'm', 's']))
}

const none: Duration = { months: 0, days: 0, ms: 0 }
const count = (numbers: readonly (string | undefined)[] | undefined, units: readonly string[]): Duration =>
  units.reduce((sum, name, i) => add(sum, unit[name] ?? none, Number(numbers?.[i] ?? 0)), none)
const add = (a: Duration, b: Duration, times = 1): Duration => ({
  months: a.months + b.months * times,
  days: a.days + b.days * times,
  ms: a.ms + b.ms * times,
})

/** A period of the calendar: months and days follow the clock on the wall. */
export const duration = z.string().transform((text, context) => {
  const span = parseDuration(text)
  if (span !== null) return span
  context.issues.push({ code: 'custom', input: text, message: 'expected a duration such as 5m, 30h, 7d or PT5M' })
  return z.NEVER
})

/** A span of exact length, in milliseconds. */
export const span = duration.transform((value, context) => {
  const ms = spanMs(value)
  if (ms !== null) return ms
  context.issues.push({
    code: 'custom',
    input: value,
    message: 'expected a duration of exact length (months have none)',
  })
  return z.NEVER
})
