import { z } from 'zod'
import { span } from './duration.ts'

export const action = z.enum(['alert', 'backoff', 'pause', 'kill'])
export type Action = z.infer<typeof action>
/** A shadow rule emits what it would have done. */
export const mode = z.enum(['enforce', 'shadow'])

const times = z.number().int().positive().max(1_000_000)
const window = span.prefault('5m')

/** One breaker's knobs, each with its default; `off` switches the rule off and is read as null. */
const rule = <Knobs extends z.ZodRawShape>(does: Action, knobs: Knobs) =>
  z
    .union([
      z.literal('off').transform(() => null),
      z.strictObject({ ...knobs, action: action.default(does), mode: mode.default('enforce') }),
    ])
    // The knobs' own defaults fill the empty object; the cast is needed as their type is the caller's.
    .prefault({} as never)

export const breakers = z.strictObject({
  /** The same canonical call and result, not necessarily in a row. */
  loop: rule('pause', { repeats: times.default(5), within: times.default(20) }),
  /** A-B-A-B…; A-A-A-A is a cycle of period 1. */
  cycle: rule('pause', { maxPeriod: times.default(6), rounds: times.default(4) }),
  noProgress: rule('alert', { sameResult: times.default(6) }),
  errorStreak: rule('pause', { count: times.default(10) }),
  errorRate: rule('alert', { over: z.number().positive().max(1).default(0.5), window, min: times.default(20) }),
  latency: rule('backoff', { p95Ms: times.default(30_000), window, min: times.default(20) }),
  spawnStorm: rule('kill', { children: times.default(20), window: span.prefault('1m') }),
  deniedStreak: rule('kill', { count: times.default(10) }),
})
export type Breakers = z.infer<typeof breakers>
