import { type Breakers, breakers } from '../../schemas/breakers.ts'
import type { Event } from '../../schemas/events.ts'
import { fold, openRules } from '../../services/core/rules/rules.ts'

/** A storm as it is injected, and when a rule ended it. */
export type Opened = {
  readonly storm: string
  readonly rule: string
  readonly action: string
  readonly scope: string
  readonly calls: number
  readonly seconds: number
}

type Facts = Readonly<Record<string, unknown>>
type Storm = { readonly storm: string; readonly everyMs: number; readonly facts: (i: number) => Facts }

const model = { operation: 'chat', protocol: 'openai', provider: 'p', model_requested: 'm', model: 'm' }
const failed = { ...model, type: 'llm.completed', outcome: 'error', error_type: 'http_503', http_status: 502 }
const threadOf = (question: string) => ({
  thread: { length: 2, first: 'f', last: question, chain: question, answer: null, ids: [] },
})

/** No public recording has these: here they are made. */
const storms: readonly Storm[] = [
  {
    storm: 'a provider is down, 10 runs of one agent ask again twice a second each',
    everyMs: 50,
    facts: i => ({ ...failed, run_id: `r${i % 10}`, data: threadOf(`q${i % 10}`) }),
  },
  {
    storm: 'a tool fails, one run tries other arguments every 2 s',
    everyMs: 2_000,
    facts: i => ({
      type: 'tool.returned',
      operation: 'execute_tool',
      observed: 'gateway',
      tool: 'sql',
      args_hash: `${i}`,
      result_hash: `${i}`,
      outcome: 'error',
      error_type: 'tool_error',
    }), // prettier-ignore
  },
  {
    storm: 'a run spawns a child every 200 ms',
    everyMs: 200,
    facts: i => ({ type: 'run.started', run_id: `c${i}`, parent_run_id: 'r', root_run_id: 'r', ancestors: ['r'] }),
  },
  {
    storm: 'each run spawns two, a run every 200 ms',
    everyMs: 200,
    facts: i => ({ type: 'run.started', run_id: `n${i + 1}`, parent_run_id: `n${i >> 1}`, root_run_id: 'n0' }),
  },
  {
    storm: 'a run without money asks on, once a second',
    everyMs: 1_000,
    facts: () => ({
      ...model,
      type: 'admission.refused',
      outcome: 'blocked',
      reason: 'budget_exceeded',
      latency_ms: 1,
    }),
  },
  {
    storm: 'a provider needs 40 s for its first token, 2 calls a second',
    everyMs: 500,
    facts: i => ({
      ...model,
      type: 'llm.completed',
      outcome: 'success',
      latency_ms: 60_000,
      ttft_ms: 40_000,
      run_id: `r${i}`,
    }),
  },
]

/** Under the rules of a fleet, as the enforcer folds them; each storm for itself. */
export const stormsUnder = (policy: Breakers = breakers.parse({})): readonly Opened[] =>
  storms.flatMap(({ storm, everyMs, facts }) => {
    const rules = openRules(policy, 'measured')
    for (let i = 0; i < 1_000; i++) {
      const at = { id: `gateway-storm.1.${i}`, source: 'storm', time: 1_700_000_000_000 + i * everyMs }
      // Built after the schemas; the storm's own facts stand last.
      const event = { ...at, agent: 'a', run_id: 'r', root_run_id: 'r', ...facts(i) } as unknown as Event // each storm gives a type with its fields
      const signal = fold(rules, event).find(({ action, mode }) => action !== 'alert' && mode === 'enforce')
      if (signal === undefined) continue
      const { rule, action, scope } = signal
      return [{ storm, rule, action, scope, calls: i + 1, seconds: (i * everyMs) / 1000 }]
    }
    return [{ storm, rule: 'none', action: '', scope: '', calls: Number.NaN, seconds: Number.NaN }]
  })
