import fc from 'fast-check'
import { type Breakers, breakers } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { answered, asked, called, changed, failing, refused, returned, type Said, spawned, tool } from './given.ts'

/** Random histories in which rules have much to say: few names, few results, and gateways that write at the same time. */

/** An event and the partition that it stands in. */
export type Placed = { readonly event: Event; readonly partition: number }

const few = <T>(...items: readonly T[]) => fc.constantFrom(...items)
const run = few('r1', 'r2', 'r3')
const name = few('ls', 'cat', 'find')
const args = few(
  '{}',
  '{"a":1}',
  '{"b":"2","nonce":3}',
  '{"wish":"please look for the price of the yearly pass of the children museum in the city of Seattle"}',
)
const result = few<string | null>('ok', 'ok', 'no', 'new', null)

const said: fc.Arbitrary<readonly Said[]> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(name, args, result, run).map(([n, a, r, of]) => tool(n, a, r, of)) },
  { weight: 3, arbitrary: fc.tuple(name, args, run).map(([n, a, of]) => failing(n, a, of)) },
  { weight: 1, arbitrary: fc.tuple(name, args, run).map(([n, a, of]) => [called(n, a, of)]) },
  { weight: 1, arbitrary: fc.tuple(name, args, result, run).map(([n, a, r, of]) => [returned(n, a, r, of)]) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(few('x', 'y'), few('done', null), run, fc.nat(3))
      .map(([last, answer, of, n]) => [
        asked(of, `q${n}`),
        answered(last, answer, of, { request_id: `q${n}`, latency_ms: n * 20_000, attempts: n }),
      ]),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(few('budget_exceeded', 'tool_not_allowed', 'run_paused'), run, few('chat', 'execute_tool'))
      .map(([reason, of, operation]) => [refused(reason, of, { operation })]),
  },
  { weight: 2, arbitrary: fc.tuple(fc.nat(30), run).map(([n, of]) => [spawned(`${of}-child${n}`, of, [of])]) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.nat(30), fc.nat(5), run)
      .map(([n, m, of]) => [spawned(`${of}-grand${n}`, `${of}-child${m}`, [of, `${of}-child${m}`])]),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(few('run.resumed' as const, 'run.finished' as const, 'run.killed' as const), run)
      .map(([type, of]) => [changed(type, of)]),
  },
)

/** What a fact may leave out, it does now and then. */
const optional = [
  'args',
  'args_hash',
  'result',
  'result_hash',
  'tool_call_id',
  'request_id',
  'latency_ms',
  'data',
  'provider',
  'model',
  'cost_nano_usd',
  'ancestors',
] // prettier-ignore

/** Runs of a world stand in the partitions of their roots; gateways number their own events. */
export const world = (of: string, length = 120): fc.Arbitrary<readonly Placed[]> =>
  fc
    .array(fc.tuple(said, fc.nat(1), fc.nat(40), fc.nat(60)), { minLength: 1, maxLength: length, size: 'max' })
    .map(steps => {
      const next = new Map<number, number>()
      let time = 1_700_000_000_000
      return steps.flatMap(([facts, gateway, seconds, left]) =>
        facts.map(fact => {
          time += seconds * 1000
          const { of: run, ...fields } = fact
          const root = String(fields['root_run_id'] ?? run)
          const sequence = next.get(gateway) ?? 0
          next.set(gateway, sequence + 1)
          const leave = optional[left] ?? ''
          const kept = Object.fromEntries(Object.entries(fields).filter(([key]) => key !== leave))
          const own = (text: unknown) => (typeof text === 'string' ? `${of}.${text}` : text)
          const event = {
            id: `gateway-${of}${gateway}.1.${sequence}`,
            source: 'test',
            time,
            agent: `${of}.a`,
            team: `${of}.t`,
            run_id: `${of}.${run}`,
            ...kept,
            root_run_id: `${of}.${root}`,
            ...Object.fromEntries(
              ['tool', 'model', 'model_requested', 'provider', 'parent_run_id'].flatMap(key =>
                key in kept ? [[key, own(kept[key])]] : [],
              ),
            ),
            ...(Array.isArray(kept['ancestors']) ? { ancestors: kept['ancestors'].map(own) } : {}),
          }
          const partition = [...root].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 3
          return { event: event as unknown as Event, partition } // the facts above, renamed
        }),
      )
    })

const scopes = {
  loop: ['run', 'agent'],
  cycle: ['run', 'agent'],
  noProgress: ['run', 'agent'],
  nearRepeat: ['run', 'agent'],
  errorStreak: ['run', 'agent', 'team', 'model', 'tool', 'provider'],
  errorRate: ['agent', 'run', 'team', 'model', 'tool', 'provider'],
  latency: ['provider', 'model', 'tool'],
  spawnStorm: ['run', 'agent', 'team'],
  retryStorm: ['agent', 'run', 'team', 'model', 'tool', 'provider'],
  deniedStreak: ['run', 'agent', 'team'],
  velocity: ['run', 'agent', 'team', 'model'],
} as const
const tight = {
  loop: { repeats: 3, within: 8 },
  cycle: { maxPeriod: 3, rounds: 2 },
  noProgress: { sameResult: 3 },
  nearRepeat: { count: 2, within: 6 },
  errorStreak: { count: 2 },
  errorRate: { over: 0.4, min: 3, window: '2m' },
  latency: { p95Ms: 20_000, min: 3, window: '10m' },
  spawnStorm: { children: 3, descendants: 5, window: '5m' },
  retryStorm: { retries: 2, window: '5m' },
  deniedStreak: { count: 2 },
  velocity: { usd: 0.001, tokens: 150, window: '2m' },
} as const
export const ruleNames = Object.keys(tight) as readonly (keyof typeof tight)[] // its own keys

/** Every rule there is, each looking at some kind of scope: all of them are covered without being named. */
export const policy: fc.Arbitrary<Breakers> = fc.tuple(fc.nat(), fc.boolean()).map(([n, staged]) =>
  breakers.parse(
    Object.fromEntries(
      ruleNames.map((rule, i) => [
        rule,
        {
          ...tight[rule],
          scope: scopes[rule][(n + i) % scopes[rule].length],
          ...(staged && !['errorRate', 'latency'].includes(rule)
            ? {
                stages: [
                  { action: 'alert', at: 2 },
                  { action: 'pause', at: 4 },
                ],
              } // prettier-ignore
            : {}),
        },
      ]),
    ),
  ),
)
