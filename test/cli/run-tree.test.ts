import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CallOfTree, type RunOfTree, runTree } from '../../services/cli/run-tree.ts'
import { dollars, duration, short } from '../../services/cli/show.ts'

const run = (run_id: string, more: Partial<RunOfTree> = {}): RunOfTree => ({
  run_id,
  parent_run_id: '',
  run_source: 'new',
  agent: 'researcher',
  task: '',
  state: 'finished',
  reason: 'idle',
  steps: 2,
  tool_calls: 2,
  errors: 0,
  input_tokens: 100,
  output_tokens: 20,
  cost_nano_usd: 58_000,
  tree_cost_nano_usd: 58_000,
  lasted_ms: 61_500,
  ...more,
})
const call = (more: Partial<CallOfTree>): CallOfTree => ({
  run_id: 'a',
  kind: 'llm',
  step: 1,
  request_id: 'r1',
  model: 'gpt-4o-mini',
  model_requested: 'gpt-4o-mini',
  tool: '',
  args: '',
  args_hash: '',
  result: '',
  result_empty: false,
  outcome: 'success',
  reason: '',
  finish_reason: '',
  input_tokens: 50,
  output_tokens: 10,
  cost_nano_usd: 29_000,
  latency_ms: 900,
  attempts: 1,
  ...more,
})

test('a run reads as its steps, the tools of each step, and the runs below it', () => {
  const runs = [
    run('a', { task: 'weekly report', tree_cost_nano_usd: 87_000 }),
    run('b', { parent_run_id: 'a', run_source: 'inferred', steps: 1, tool_calls: 0 }),
  ]
  const weather = {
    kind: 'tool',
    tool: 'get_weather',
    args: '{"city":"Oslo"}',
    args_hash: 'h',
    latency_ms: 30_000,
  } as const
  const calls = [
    call({ finish_reason: 'tool_calls' }),
    call({ ...weather, result: '[]', result_empty: true }),
    call({
      step: 2,
      request_id: 'r2',
      outcome: 'error',
      reason: 'http_500',
      attempts: 3,
      cost_nano_usd: null,
      input_tokens: null,
    }),
    call({ ...weather, request_id: 'r2', outcome: 'unanswered' }),
    call({ run_id: 'b', request_id: 'r3' }),
  ]
  assert.equal(
    runTree('a', runs, calls),
    `run a · researcher · weekly report · finished (idle)
2 steps · 2 tool calls · 100 → 20 tokens · $0.000058 · $0.000087 with its tree · 1 min 2 s
● 1    gpt-4o-mini  50 → 10  $0.000029  900 ms  tool_calls
│    └ get_weather({"city":"Oslo"}) → (empty)  30.0 s
● 2    gpt-4o-mini  unpriced  900 ms  3 attempts  ✗ error http_500
│    └ get_weather({"city":"Oslo"}) → never answered  30.0 s ↻ 2
│
│  run b · researcher · finished (idle) · parent inferred
│  1 step · 0 tool calls · 100 → 20 tokens · $0.000058 · 1 min 2 s
│  ● 1    gpt-4o-mini  50 → 10  $0.000029  900 ms
`,
  )
})

test('what stands in a terminal cannot move its cursor, and money keeps its first digits', () => {
  assert.equal(short('a\u001b[2J\nb', 20), 'a [2J b')
  assert.equal(short('abcdef', 4), 'abc…')
  assert.deepEqual([0, 1, 1_234, 58_000, 1_239_000_000].map(dollars), [
    '$0',
    '$0.000000001',
    '$0.000001234'.slice(0, 11),
    '$0.000058',
    '$1.24',
  ])
  assert.deepEqual([5, 1_500, 61_000, 7_260_000].map(duration), ['5 ms', '1.5 s', '1 min 1 s', '2 h 1 min'])
})
