import { z } from 'zod'
import { span } from './duration.ts'

export const action = z.enum(['alert', 'backoff', 'pause', 'kill'])
export type Action = z.infer<typeof action>
/** A shadow rule emits what it would have done. */
export const mode = z.enum(['enforce', 'shadow'])

/** Whose events a rule looks at together. `run`: each run for itself. */
export const scopeKind = z.enum(['run', 'agent', 'team', 'org', 'model', 'tool', 'provider'])
export type ScopeKind = z.infer<typeof scopeKind>

const times = z.number().int().positive().max(1_000_000)
/** What a rule remembers step by step is held in memory for each live run. */
const steps = z.number().int().positive().max(1_000_000) // a rule with a bound of its own memory says so itself
const share = z.number().positive().max(1)
const window = span.prefault('5m')

/**
 * At what a rule does more than it does first, in the unit of the rule's own knob: repeats, rounds, errors, a share of
 * errors, milliseconds of latency, children, retries, denials; of `velocity`, times its limit.
 */
const stagesOf = <Actions extends z.ZodType<Action>>(actions: Actions) =>
  z
    .array(z.strictObject({ action: actions, at: z.number().positive() }))
    .min(1)
    .max(4)
    .refine(
      stages => stages.every((stage, i) => i === 0 || stage.at > (stages[i - 1]?.at ?? 0)),
      'expected each stage at more than the one before',
    )

/**
 * One breaker's knobs, each with its default; `off` switches the rule off and is read as null. `stages` stand in the place
 * of `action` and of the knob that says when: `[{ action: alert, at: 3 }, { action: pause, at: 5 }]`.
 */
const rule = <Knobs extends z.ZodRawShape, const Kinds extends readonly [ScopeKind, ...ScopeKind[]]>(
  does: Action,
  kinds: Kinds,
  knobs: Knobs,
) => ruleOf(action.default(does), stagesOf(action), kinds, knobs)

const ruleOf = <
  Knobs extends z.ZodRawShape,
  const Kinds extends readonly [ScopeKind, ...ScopeKind[]],
  Does extends z.ZodType<Action>,
  Stages extends z.ZodType,
>(
  does: Does,
  stages: Stages,
  kinds: Kinds,
  knobs: Knobs,
) =>
  z
    .union([
      z.literal('off').transform(() => null),
      z.strictObject({
        ...knobs,
        scope: z.enum(kinds).default(kinds[0]),
        action: does,
        mode: mode.default('enforce'),
        stages: stages.optional(),
        /** How long a backoff lasts. */
        backoffFor: span.prefault('30s'),
      }),
    ])
    // The knobs' own defaults fill the empty object; the cast is needed as their type is the caller's.
    .prefault({} as never)

/** Words are no proof: what only resembles a repeat may be slowed or paused by choice, never killed. */
const mild = action.exclude(['kill'])

export const breakers = z.strictObject({
  /** Names of arguments, at any depth, that come and go without changing what is asked. */
  volatile: z
    .array(z.string().min(1).max(100))
    .max(100)
    .default([
      'timestamp',
      'nonce',
      'request_id',
      'requestId',
      'trace_id',
      'traceId',
      'correlation_id',
      'correlationId',
      'idempotency_key',
      'idempotencyKey',
    ]),
  /**
   * The same canonical call and result, not necessarily in a row, with less news in between than repeats. `within`: the last
   * steps, at least as many as `repeats`.
   */
  loop: rule('pause', ['run', 'agent'], { repeats: steps.default(5), within: steps.default(20) }),
  /** A-B-A-B…; A-A-A-A is a cycle of period 1. */
  cycle: rule('pause', ['run', 'agent'], {
    maxPeriod: z.number().int().positive().max(100).default(6),
    rounds: steps.default(4),
  }),
  /** The same result in a row, whatever was asked. */
  noProgress: rule('alert', ['run', 'agent'], { sameResult: steps.default(6) }),
  /** The same wish in other words: `count` of the last `within` steps share `alike` of their words with one before. */
  nearRepeat: ruleOf(mild.default('alert'), stagesOf(mild), ['run', 'agent'], {
    count: z.number().int().positive().max(100).default(2),
    within: z.number().int().positive().max(100).default(4),
    alike: share.default(0.3),
    /** Shorter texts resemble each other by chance. */
    minWords: z.number().int().min(3).max(64).default(12),
  }),
  errorStreak: rule('pause', ['run', 'agent', 'team', 'model', 'tool', 'provider'], { count: times.default(10) }),
  errorRate: rule('alert', ['agent', 'run', 'team', 'org', 'model', 'tool', 'provider'], {
    over: share.default(0.5),
    window,
    min: times.default(20),
  }),
  latency: rule('backoff', ['provider', 'model', 'tool'], {
    p95Ms: times.default(30_000),
    window,
    min: times.default(20),
  }),
  /** Runs spawned by one run, or below one root. */
  spawnStorm: rule('kill', ['run', 'agent', 'team'], {
    children: steps.default(20),
    descendants: steps.default(100),
    window: span.prefault('1m'),
  }),
  /** Calls that failed and were made again unchanged. */
  retryStorm: rule('backoff', ['agent', 'run', 'team', 'model', 'tool', 'provider'], {
    retries: times.default(30),
    window: span.prefault('1m'),
  }),
  deniedStreak: rule('kill', ['run', 'agent', 'team'], { count: times.default(10) }),
  /** More than so many dollars or tokens in the window; what is left out is not looked at. */
  velocity: rule('alert', ['run', 'agent', 'team', 'org', 'model'], {
    usd: z.number().positive().max(1_000_000).optional(),
    tokens: z.number().int().positive().optional(),
    window: span.prefault('1m'),
  }),
})
export type Breakers = z.infer<typeof breakers>
/** Every rule that there is. */
export type RuleName = Exclude<keyof Breakers, 'volatile'>
export type Knobs<Name extends RuleName> = NonNullable<Breakers[Name]>
