import assert from 'node:assert/strict'
import { type Breakers, breakers } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { type RuleSignal, ruleSignal } from '../../../schemas/signal.ts'
import { fold, openRules, type Rules } from '../../../services/core/rules/rules.ts'

/** Histories as short as they are told: each call below gives the events of one thing that a run did. */

/** Names and times are given by the history that an event stands in. */
export type Said = { readonly of: string; readonly type: Event['type'] } & Readonly<Record<string, unknown>>

export const called = (tool: string, args = '{}', of = 'r', id?: string): Said => ({
  of,
  type: 'tool.called',
  operation: 'execute_tool',
  observed: 'conversation',
  tool,
  args,
  args_hash: `hash ${args}`,
  ...(id === undefined ? {} : { tool_call_id: id }),
})
export const returned = (
  tool: string,
  args = '{}',
  result: string | null = 'ok',
  of = 'r',
  more: Readonly<Record<string, unknown>> = {},
): Said => ({
  ...called(tool, args, of),
  type: 'tool.returned',
  outcome: 'success',
  ...(result === null ? {} : { result, result_hash: `hash ${result}` }),
  ...more,
})
/** Asked for and answered, with nothing else in between. */
export const tool = (name: string, args = '{}', result: string | null = 'ok', of = 'r'): readonly Said[] => [
  called(name, args, of),
  returned(name, args, result, of),
]
export const failing = (name: string, args = '{}', of = 'r'): readonly Said[] => [
  called(name, args, of),
  returned(name, args, 'failed', of, { outcome: 'error', error_type: 'tool_error' }),
]

const model = { operation: 'chat', protocol: 'openai', provider: 'p', model_requested: 'm' }
export const asked = (of = 'r', request?: string): Said => ({
  of,
  type: 'admission.granted',
  ...model,
  request_id: request,
})
export const answered = (
  last: string,
  answer: string | null,
  of = 'r',
  more: Readonly<Record<string, unknown>> = {},
) => ({
  of,
  type: 'llm.completed' as const,
  ...model,
  model: 'm-1',
  outcome: answer === null ? 'error' : 'success',
  input_tokens: 100,
  output_tokens: 10,
  cost_nano_usd: 1_000_000,
  data: { thread: { length: 3, first: 'f', last, chain: `chain ${last}`, answer, ids: [] } },
  ...more,
})
export const llm = (last: string, answer: string | null, of = 'r', more = {}): readonly Said[] => [
  asked(of),
  answered(last, answer, of, more),
]
export const refused = (reason: string, of = 'r', more: Readonly<Record<string, unknown>> = {}): Said => ({
  of,
  type: 'admission.refused',
  ...model,
  outcome: 'blocked',
  decision: 'deny',
  reason,
  ...more,
})
export const spawned = (child: string, parent: string, above: readonly string[] = [parent]): Said => ({
  of: child,
  type: 'run.started',
  parent_run_id: parent,
  root_run_id: above[0] ?? parent,
  ancestors: above,
})
export const changed = (type: 'run.resumed' | 'run.finished' | 'run.killed', of = 'r'): Said => ({ of, type })

/** `everyMs` apart, unless they say when; in one partition, by one producer. */
export const history = (said: readonly (Said | readonly Said[])[], everyMs = 1000): readonly Event[] =>
  (said.flat() as Said[]).map((one, i) => {
    const { of, ...fields } = one
    return {
      id: `gateway-t.1.${i}`,
      source: 'test',
      time: 1_700_000_000_000 + i * everyMs,
      agent: 'a',
      run_id: of,
      root_run_id: of,
      ...fields,
    } as unknown as Event // the makers above give what the types of events ask for
  })

/** Only what is named is on; a rule that is under test speaks for itself alone. */
export function policyOf(knobs: Readonly<Record<string, unknown>>): Breakers {
  const off = Object.fromEntries(Object.keys(breakers.shape).map(name => [name, 'off']))
  const { volatile: _named, ...rules } = off
  return breakers.parse({ ...rules, ...knobs })
}

export const rulesOf = (knobs: Readonly<Record<string, unknown>>): Rules => openRules(policyOf(knobs), 'v1')

/** All signals, each checked against its schema. */
export const play = (rules: Rules, events: readonly Event[]): readonly RuleSignal[] =>
  events.flatMap(event => {
    const signals = fold(rules, event)
    for (const signal of signals) assert.deepEqual(ruleSignal.parse(signal), signal)
    return signals
  })

export const times = <T>(n: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length: n }, (_, i) => make(i))
/** Rule, action and scope of each signal, which is mostly all that is promised. */
export const told = (signals: readonly RuleSignal[]): readonly string[] =>
  signals.map(({ rule, action, scope }) => `${rule} ${action} ${scope}`)
