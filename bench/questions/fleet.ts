import type { ClickHouseClient } from '../../services/io/clickhouse/client.ts'

/**
 * A fleet that never was, made by ClickHouse itself from the numbers 0 to n: 300 agents of very unequal diligence, runs of
 * forty events (three in ten under another run), four tool servers, five providers, one tool that is slow and finds
 * nothing, some runs that go in circles. The same numbers give the same fleet.
 */
export type Fleet = {
  readonly rows: number
  /** How far back it begins; it ends a few minutes ago. */
  readonly days: number
  /** Rows per insert. The sink would make smaller ones; larger ones are quicker to make. */
  readonly chunk?: number
}

export async function makeFleet(
  client: ClickHouseClient,
  fleet: Fleet,
  told: (rows: number) => void = () => {},
): Promise<void> {
  const chunk = fleet.chunk ?? 500_000
  const end = Date.now() - 180_000
  for (let from = 0; from < fleet.rows; from += chunk) {
    const count = Math.min(chunk, fleet.rows - from)
    await client.command({
      query: rowsQuery,
      query_params: {
        from,
        count,
        runs: Math.ceil(fleet.rows / 40),
        begin: end - fleet.days * 86_400_000,
        span: fleet.days * 86_400_000,
      },
      clickhouse_settings: { max_partitions_per_insert_block: '0', max_execution_time: 0 },
    })
    told(from + count)
  }
}

/** Who to ask about: names that are in every fleet. */
export const famous = { agent: 'researcher', tool: 'crm.lookup' } as const

const pick = (from: readonly string[], by: string): string =>
  `[${from.map(one => `'${one}'`).join(', ')}][${by} % ${from.length} + 1]`

const rowsQuery = `INSERT INTO events (
  topic, partition, offset, event_id, producer, epoch, sequence, type, ts, source, stored_at,
  org, team, agent, user, key_id, session_id, task, labels, run_id, root_run_id, parent_run_id, ancestors, depth, run_source, step, request_id,
  trace_id, chain, policy_version, operation, protocol, provider, model_requested, model, stream, server, tool, tool_call_id, observed,
  args, args_hash, result, result_hash, result_bytes, result_empty,
  input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, usage_source, cost_nano_usd, price_version, bound_nano_usd, limit_nano_usd,
  outcome, reason, http_status, upstream_status, finish_reason, error_type, attempts, latency_ms, ttft_ms, gateway_us, decision, rule,
  scope, action, mode, evidence, data
)
WITH
  number AS i, intDiv(i, 40) AS r, i % 40 AS k, r % 10 AS slot, cityHash64(i) AS h,
  slot >= 7 AS is_child, toUInt64(if(is_child, r - slot, r)) AS root_r,
  cityHash64(root_r, 'agent') AS ah,
  (toUInt64(300 * pow((ah % 10000) / 10000, 3)) + is_child * 7) % 300 AS who,
  concat('run-', lower(hex(cityHash64(r, 'run')))) AS run,
  concat('run-', lower(hex(cityHash64(root_r, 'run')))) AS root,
  multiIf(k = 0, 'run.started', k = 39 AND r % 7 != 0, 'run.finished',
    k = 37 AND r % 500 = 3, 'pause', k = 37 AND r % 500 = 4, 'budget.threshold', k = 36 AND r % 500 = 5, 'record.unreadable',
    k = 38 AND r % 50 = 0, 'admission.granted', k % 2 = 0, 'tool.returned', h % 100 = 0, 'admission.refused', 'llm.completed') AS what,
  what = 'llm.completed' AS is_llm, what = 'tool.returned' AS is_tool, what IN ('llm.completed', 'admission.refused', 'admission.granted') AS to_model,
  is_tool AND h % 60 = 3 AS is_slow,
  is_tool AND r % 97 = 5 AS in_circles,
  multiIf(what = 'admission.refused', 'blocked', NOT is_llm AND NOT is_tool, '', h % 50 = 1, 'error', 'success') AS how,
  to_model AND h % 200 = 2 AS unpriced,
  500 + h % 6000 AS input, 20 + intDiv(h, 7) % 900 AS output,
  multiIf(is_slow, 25000 + h % 15000, is_tool, 20 + h % 900, is_llm, 400 + intDiv(h, 3) % 9000, 0) AS ms
SELECT
  multiIf(what = 'pause', 'sluice.control', what = 'budget.threshold', 'sluice.alerts', 'sluice.events'),
  r % 12, i, concat('gateway-bench-0.1.', toString(i)), 'gateway-bench-0', 1, i, what,
  fromUnixTimestamp64Milli(toInt64({begin:UInt64} + intDiv({span:UInt64} * r, {runs:UInt64}) + k * 3000 + h % 2000), 'UTC') AS at, '/sluice/gateway-bench-0',
  at + toIntervalMillisecond(300 + h % 500),
  'acme', concat('team-', toString(who % 12)), if(who = 0, 'researcher', concat('agent-', toString(who))), concat('user-', toString(ah % 2000)),
  concat('key-', toString(who)), concat('session-', toString(intDiv(root_r, 3))), concat(${pick(['report', 'triage', 'review', 'refactor', 'outreach'], 'ah')}, ' ', toString(ah % 400)),
  map('env', if(who % 5 = 0, 'staging', 'prod')), run, root, if(is_child, root, ''), if(is_child, [root], []), toUInt16(is_child), 'header', intDiv(k + 1, 2),
  if(is_llm OR to_model OR is_tool, concat('req-', lower(hex(cityHash64(i, 'request')))), ''),
  lower(hex(MD5(root))), [concat('user-', toString(ah % 2000))], 'policy-7',
  multiIf(to_model, 'chat', is_tool, 'execute_tool', ''), if(to_model, ${pick(['openai', 'anthropic', 'gemini'], 'who')}, ''),
  multiIf(NOT to_model, '', unpriced, 'ollama', h % 33 = 4, 'openrouter', ${pick(['openai', 'anthropic', 'gemini'], 'who')}),
  multiIf(NOT to_model, '', unpriced, 'house-model', ${pick(['gpt-4o-mini', 'claude-sonnet-4', 'gemini-2.5-flash', 'gpt-4.1', 'claude-haiku-4', 'gemini-2.5-pro'], 'who')}) AS model_name,
  if(is_llm, model_name, ''), to_model AND h % 2 = 0,
  multiIf(NOT is_tool, '', is_slow, 'legacy', ${pick(['crm', 'files', 'web', ''], 'intDiv(h, 60)')}),
  multiIf(NOT is_tool, '', is_slow, 'legacy.search', in_circles, 'crm.lookup', ${pick(['crm.lookup', 'crm.update', 'files.read', 'files.write', 'web.search', 'web.fetch', 'shell', 'sql.query', 'mail.send', 'calendar.list', 'tickets.list'], 'intDiv(h, 60)')}),
  if(is_tool, concat('call_', lower(hex(h))), ''), if(is_tool, ${pick(['conversation', 'gateway', 'reported'], 'h')}, ''),
  if(is_tool OR is_llm, concat('{"query":"', lower(hex(if(in_circles, r, h))), ' what do we know about the customer of last week","limit":', toString(h % 50), '}'), ''),
  if(is_tool, lower(hex(cityHash64(if(in_circles, r, h), 'args'))), ''),
  multiIf(is_slow, '', is_tool OR is_llm, concat('{"found":', toString(h % 30), ',"text":"', lower(hex(sipHash128(h))), lower(hex(sipHash128(h, 1))), lower(hex(sipHash128(h, 2))), '"}'), ''),
  if(is_tool, lower(hex(cityHash64(if(in_circles, r, h), 'result'))), ''),
  if(is_tool, if(is_slow, 0, 40 + h % 4000), NULL), if(is_tool, is_slow, NULL),
  if(is_llm, input, NULL), if(is_llm AND how = 'success', output, NULL), if(is_llm, if(h % 3 = 0, intDiv(input, 2), 0), NULL), if(is_llm AND h % 4 = 0, intDiv(output, 2), NULL),
  multiIf(NOT is_llm, '', h % 70 = 9, 'estimated', 'provider'), if(is_llm AND NOT unpriced, toInt64(input * 150 + output * 600), NULL), if(is_llm, 'genai-prices-0.1.8', ''),
  if(what = 'admission.granted', toInt64(9000000), NULL), if(what = 'run.started', toInt64(2000000000), NULL),
  how, multiIf(what = 'admission.refused', ${pick(['budget_exceeded', 'rate_limited', 'loop_detected', 'model_not_allowed'], 'intDiv(h, 100)')}, how = 'error', 'upstream_unavailable', ''),
  multiIf(how = 'blocked', 402, how = 'error', 502, how = 'success' AND is_llm, 200, NULL), if(is_llm, if(how = 'error', 500, 200), NULL),
  if(is_llm AND how = 'success', 'stop', ''), if(how = 'error', ${pick(['server_error', 'overloaded_error', 'timeout'], 'h')}, ''), if(is_llm, 1 + (h % 33 = 4), 0),
  if(ms = 0, NULL, ms), if(is_llm AND h % 2 = 0, 150 + h % 700, NULL), if(is_llm, 150 + h % 600, NULL),
  multiIf(how = 'blocked', 'deny', how != '', 'allow', ''), if(how = 'blocked' OR is_tool, ${pick(['tools.allow', 'budget', 'loop'], 'h')}, ''),
  if(what IN ('pause', 'budget.threshold'), concat('run:', run), ''), if(what = 'pause', 'pause', ''), if(what IN ('pause', 'budget.threshold'), 'enforce', ''),
  if(what = 'pause', [concat('gateway-bench-0.1.', toString(i - 2))], []),
  multiIf(what = 'record.unreadable', '{"why":"the body is not JSON"}', what = 'budget.threshold', '{"threshold":0.8}',
    NOT is_llm, '',
    concat('{"usage":{"prompt_tokens":', toString(input), ',"completion_tokens":', toString(output), ',"total_tokens":', toString(input + output), '},"attempts":[',
      if(h % 33 = 4, '{"n":1,"provider":"openai","status":503,"error":"overloaded","latency_ms":120},{"n":2,"provider":"openrouter","status":200,"latency_ms":',
        concat('{"n":1,"provider":"', ${pick(['openai', 'anthropic', 'gemini'], 'who')}, '","status":', if(how = 'error', '500', '200'), ',"latency_ms":')),
      toString(ms), ',"ttfb_ms":', toString(100 + h % 300), '}]}'))
FROM numbers({from:UInt64}, {count:UInt64})`
