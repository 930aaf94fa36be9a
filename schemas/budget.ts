import { z } from 'zod'
import { duration, spanMs } from './duration.ts'

/** US dollars as people write them; at most nine million, so that nano-dollars stay exact integers. */
const usd = z.number().positive().max(9_000_000)

const dayMs = 86_400_000

/**
 * A cap on what a scope may spend. The window is a pure function of (resetAt, window, timezone, now); without `window` it
 * is the lifetime of the scope.
 */
export const budget = z
  .strictObject({
    limitUsd: usd,
    window: duration.optional(),
    /** Time of day at which a window of days opens. */
    resetAt: z
      .string()
      .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'expected a time of day such as "09:00"')
      .optional(),
    timezone: z.string().refine(isTimezone, 'expected an IANA time zone such as Europe/Berlin').optional(),
    /** Shares of the limit at which an alert is written. */
    alertAt: z.array(z.number().positive().max(1)).max(10).default([]),
  })
  .superRefine((budget, context) => {
    const wrong = (key: 'window' | 'resetAt' | 'timezone', message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    const { window, resetAt, timezone } = budget
    if (resetAt !== undefined && window === undefined) wrong('resetAt', 'needs a window, such as 1d')
    if (timezone !== undefined && window === undefined) wrong('timezone', 'needs a window, such as 1d')
    if (resetAt !== undefined && window !== undefined && window.ms > 0)
      wrong('resetAt', 'needs a window of whole days, such as 1d')
    if (window !== undefined && (spanMs(window) ?? dayMs) < 60_000) wrong('window', 'expected at least one minute')
  })
  .transform(({ limitUsd, window, resetAt, timezone, alertAt }) => ({
    limitNanoUsd: Math.round(limitUsd * 1e9),
    window: window ?? null,
    /** Minutes after midnight in `timezone`. */
    resetAtMinute: resetAt === undefined ? 0 : Number(resetAt.slice(0, 2)) * 60 + Number(resetAt.slice(3)),
    timezone: timezone ?? 'UTC',
    alertAt: [...alertAt].sort((a, b) => a - b),
  }))
export type Budget = z.infer<typeof budget>

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
