import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Opened, openWarehouse } from './opened.ts'
import { llm, producer, store, tool, under, work } from './tell.ts'

describe('what the views say', () => {
  let opened: Opened
  let stands = 0
  before(async () => {
    opened = await openWarehouse()
  })
  after(() => opened?.[Symbol.asyncDispose]())
  const put = async (messages: Parameters<typeof store>[1], topic?: string) => {
    await store(opened, messages, topic, stands)
    stands += messages.length
  }
  const one = async (query: string, params?: Record<string, unknown>) => (await opened.rows(query, params))[0] ?? {}

  test('an ended call is one row, an admission none, a refusal one with outcome blocked', async () => {
    const say = producer('gateway-calls-0')
    const who = work('run-calls')
    await put([
      say({ ...who, type: 'run.started' }),
      say({ ...who, type: 'admission.granted', operation: 'chat', protocol: 'openai', bound_nano_usd: 5 }),
      say(llm(who)),
      say({ ...who, type: 'llm.queued', operation: 'chat', protocol: 'openai', response_id: 'resp_1' }),
      say({ ...who, type: 'tool.called', operation: 'execute_tool', tool: 'crm.lookup', observed: 'conversation' }),
      say(tool(who)),
      say({
        ...who,
        type: 'agent.returned',
        operation: 'invoke_agent',
        peer_agent: 'writer',
        observed: 'gateway',
        outcome: 'success',
      }),
      say({
        ...who,
        type: 'admission.refused',
        operation: 'chat',
        protocol: 'openai',
        outcome: 'blocked',
        reason: 'budget_exceeded',
        http_status: 402,
      }),
      say({
        ...who,
        type: 'admission.refused',
        operation: 'execute_tool',
        protocol: 'mcp',
        outcome: 'blocked',
        reason: 'tool_not_allowed',
      }),
    ])
    const rows = await opened.rows(
      `SELECT kind, server, tool, outcome, reason FROM calls WHERE run_id = 'run-calls' ORDER BY offset`,
    )
    assert.deepEqual(rows, [
      { kind: 'llm', server: '', tool: '', outcome: 'success', reason: '' },
      { kind: 'tool', server: '', tool: 'crm.lookup', outcome: 'success', reason: '' },
      { kind: 'agent', server: 'writer', tool: '', outcome: 'success', reason: '' },
      { kind: 'llm', server: '', tool: '', outcome: 'blocked', reason: 'budget_exceeded' },
      { kind: 'tool', server: '', tool: '', outcome: 'blocked', reason: 'tool_not_allowed' },
    ])
    assert.deepEqual(await one(`SELECT count() AS n FROM events WHERE run_id = 'run-calls'`), { n: 9 })
  })

  test('unknown is not zero', async () => {
    const say = producer('gateway-null-0')
    const { input_tokens: _, cost_nano_usd: __, ...unknown } = llm(work('run-null'))
    await put([say({ ...unknown, cache_read_tokens: 0 })])
    assert.deepEqual(
      await one(`SELECT input_tokens, cache_read_tokens, cost_nano_usd, ttft_ms FROM calls WHERE run_id = 'run-null'`),
      { input_tokens: null, cache_read_tokens: 0, cost_nano_usd: null, ttft_ms: null },
    )
    assert.deepEqual(
      await one(
        `SELECT sum(unpriced) AS n FROM spend_by_minute WHERE agent = 'researcher' AND model = 'gpt-4o-mini-2024-07-18'`,
      ),
      { n: 1 },
    )
  })

  test('a run is one row: its own counts, its state, and the cost of all below it', async () => {
    const say = producer('gateway-runs-0')
    const root = work('root', { labels: { env: 'prod' } })
    const child = under('child', 'root')
    const grandchild = under('grandchild', 'root', 'child')
    const began = Date.now() - 60_000
    await put([
      say({ ...root, type: 'run.started', limit_nano_usd: 5_000_000 }, began),
      say(llm(root, { step: 1, cost_nano_usd: 1_000, latency_ms: 500 }), began + 1_000),
      say({ ...child, type: 'run.started' }, began + 2_000),
      say(llm(child, { cost_nano_usd: 20_000 }), began + 3_000),
      say(llm(grandchild, { cost_nano_usd: 300_000, outcome: 'error' }), began + 4_000),
      say(tool(root), began + 5_000),
      say(llm(root, { step: 2, cost_nano_usd: 7 }), began + 6_000),
      say({ ...child, type: 'run.killed', reason: 'loop_detected' }, began + 7_000),
      say({ ...root, type: 'run.paused', reason: 'loop' }, began + 8_000),
      say({ ...root, type: 'run.resumed' }, began + 9_000),
    ])
    const rows = await opened.rows<Record<string, unknown>>(
      `SELECT * EXCEPT (started_at, last_at, ended_at) FROM runs WHERE root_run_id = 'root' ORDER BY depth`,
    )
    const [top, middle, low] = rows
    assert.equal(rows.length, 3)
    assert.deepEqual(top, {
      run_id: 'root',
      root_run_id: 'root',
      parent_run_id: '',
      depth: 0,
      run_source: 'header',
      org: 'acme',
      team: 'research',
      agent: 'researcher',
      user: 'ann',
      task: 'report',
      labels: { env: 'prod' },
      state: 'running',
      reason: '',
      steps: 2,
      llm_calls: 2,
      tool_calls: 1,
      errors: 0,
      children: 1,
      input_tokens: 200,
      output_tokens: 40,
      cost_nano_usd: 1_007,
      tree_cost_nano_usd: 321_007,
      limit_nano_usd: 5_000_000,
    })
    assert.deepEqual(
      [
        middle?.['state'],
        middle?.['reason'],
        middle?.['children'],
        middle?.['cost_nano_usd'],
        middle?.['tree_cost_nano_usd'],
      ],
      ['killed', 'loop_detected', 1, 20_000, 320_000],
    )
    assert.deepEqual(
      [low?.['state'], low?.['errors'], low?.['tree_cost_nano_usd'], low?.['limit_nano_usd']],
      ['running', 1, 300_000, null],
    )
    const times = await one(
      `SELECT toUnixTimestamp64Milli(started_at) - {began:Int64} AS started, toUnixTimestamp64Milli(last_at) - {began:Int64} AS last, ended_at FROM runs WHERE run_id = 'root'`,
      { began },
    )
    assert.deepEqual(times, { started: 0, last: 9_000, ended_at: null })
    assert.notEqual((await one(`SELECT ended_at FROM runs WHERE run_id = 'child'`))['ended_at'], null)
  })

  test('each attempt is a row, with what it was answered', async () => {
    const say = producer('gateway-attempts-0')
    const attempts = [
      { n: 1, provider: 'openai', model: 'gpt-4o-mini', status: 500, error: 'server_error', latency_ms: 12.5 },
      { n: 2, provider: 'openrouter', latency_ms: 80, ttfb_ms: 31 },
    ]
    await put([say(llm(work('run-attempts'), { attempts: 2, data: { attempts, usage: { prompt_tokens: 100 } } }))])
    assert.deepEqual(
      await opened.rows(
        `SELECT n, provider, model, status, error, latency_ms, ttfb_ms FROM attempts WHERE run_id = 'run-attempts' ORDER BY n`,
      ),
      [
        {
          n: 1,
          provider: 'openai',
          model: 'gpt-4o-mini',
          status: 500,
          error: 'server_error',
          latency_ms: 12.5,
          ttfb_ms: null,
        },
        { n: 2, provider: 'openrouter', model: '', status: null, error: '', latency_ms: 80, ttfb_ms: 31 },
      ],
    )
    assert.deepEqual(await one(`SELECT data FROM events WHERE run_id = 'run-attempts'`), {
      data: JSON.stringify({ attempts, usage: { prompt_tokens: 100 } }),
    })
  })

  test('a signal that is decided again shows once, and money is not among the signals', async () => {
    const say = producer('enforcer-1')
    const kill = {
      type: 'kill',
      scope: 'run:r9',
      run_id: 'r9',
      agent: 'researcher',
      rule: 'loop',
      action: 'kill',
      mode: 'enforce',
      evidence: ['a.1.1', 'a.1.2'],
    }
    const again = say(kill)
    await put([again, say({ type: 'lease.granted', scope: 'run:r9', bound_nano_usd: 9 }), again], 'sluice.control')
    const threshold = {
      type: 'budget.threshold',
      scope: 'agent:researcher',
      agent: 'researcher',
      rule: 'budget',
      data: { threshold: 0.8 },
    }
    await put([say(threshold)], 'sluice.alerts')
    const reports = ['org/life', 'run:r9/life'].map((node, n) => ({ node, spent_nano_usd: n, held_nano_usd: 7 }))
    await put(
      [
        say({ type: 'lease.requested', team: 'research', scope: 'team:research' }),
        say({ type: 'lease.settled', data: { gateway: 'gateway-a', reports } }),
      ],
      'sluice.ledger',
    )
    assert.deepEqual(await opened.rows('SELECT type, run_id, rule, action, evidence FROM signals'), [
      { type: 'kill', run_id: 'r9', rule: 'loop', action: 'kill', evidence: ['a.1.1', 'a.1.2'] },
    ])
    assert.deepEqual(await opened.rows('SELECT type, scope, data FROM alerts'), [
      { type: 'budget.threshold', scope: 'agent:researcher', data: '{"threshold":0.8}' },
    ])
    const ledger = await opened.rows(
      'SELECT type, scope, cost_nano_usd, bound_nano_usd FROM ledger ORDER BY type, scope',
    )
    assert.deepEqual(
      ledger.map(({ type, scope, cost_nano_usd, bound_nano_usd }) => [type, scope, cost_nano_usd, bound_nano_usd]),
      [
        ['lease.granted', 'run:r9', null, 9],
        ['lease.requested', 'team:research', null, null],
        ['lease.settled', 'org/life', 0, 7],
        ['lease.settled', 'run:r9/life', 1, 7],
      ],
    )
  })

  test('a trace is the tree of runs with their calls, its parents right, its times those of the calls', async () => {
    const say = producer('gateway-otel-0')
    const ended = Date.now() - 10_000
    const child = under('otel-child', 'otel-root')
    await put([
      say({ ...work('otel-root'), type: 'run.started' }, ended - 5_000),
      say(
        llm(work('otel-root'), {
          latency_ms: 2_000,
          ttft_ms: 300,
          trace_id: 'f'.repeat(32),
          parent_span_id: '1'.repeat(16),
        }),
        ended,
      ),
      say({ ...child, type: 'run.started' }, ended),
      say(tool(child, { outcome: 'error', error_type: 'timeout' }), ended),
    ])
    const spans = await opened.rows<Record<string, string>>(
      `SELECT *, toUnixTimestamp64Milli(Timestamp) AS begin FROM otel_traces WHERE TraceId = lower(hex(MD5('otel-root'))) ORDER BY SpanName`,
    )
    assert.deepEqual(
      spans.map(span => span['SpanName']),
      ['chat gpt-4o-mini-2024-07-18', 'execute_tool crm.lookup', 'run researcher', 'run researcher'],
    )
    const [chat, lookup, ...runs] = spans
    const rootRun = runs.find(span => span['ParentSpanId'] === '')
    const childRun = runs.find(span => span !== rootRun)
    assert.equal(childRun?.['ParentSpanId'], rootRun?.['SpanId'])
    assert.equal(chat?.['ParentSpanId'], rootRun?.['SpanId'])
    assert.equal(lookup?.['ParentSpanId'], childRun?.['SpanId'])
    assert.equal(new Set(spans.map(span => span['SpanId'])).size, 4)
    assert.deepEqual(
      [chat?.['begin'], chat?.['Duration'], chat?.['StatusCode'], lookup?.['StatusCode']],
      [ended - 2_000, 2_000_000_000, 'Ok', 'Error'],
    )
    assert.deepEqual([chat?.['Links.TraceId'], chat?.['Links.SpanId']], [['f'.repeat(32)], ['1'.repeat(16)]])
    const attributes = chat?.['SpanAttributes'] as unknown as Record<string, string>
    assert.equal(attributes['gen_ai.usage.input_tokens'], '100')
    assert.equal(attributes['gen_ai.request.model'], 'gpt-4o-mini')
    assert.equal('gen_ai.tool.name' in attributes, false)
  })
})
