import { type Check, differ } from './check.ts'
import type { Ask } from './rows.ts'

/**
 * What ClickHouse adds up as rows come, against the rows: spend by the minute, and each run with all that is below it. A
 * batch that is stored while both are read stands in one of them, so what differs is looked at again.
 */
export async function compareViews(check: Check, ask: Ask, since: number, pause: () => Promise<void>): Promise<void> {
  for (const { name, query, count } of views(since)) {
    let found: readonly Found[] = []
    for (let look = 0; look < looks; look++) {
      if (look > 0) await pause()
      found = await ask<Found>(query)
      if (found.length === 0) break
    }
    const [row] = await ask<{ n: number }>(count)
    check.compared += row?.n ?? 0
    for (const { what, ...sums } of found) differ(check, `${name} ${what}`, inWords(sums))
  }
}

const looks = 5

type Found = { readonly what: string } & Readonly<Record<string, number | string>>

/** Differences are rows less what was added up. */
const inWords = (sums: Readonly<Record<string, number | string>>): string =>
  Object.entries(sums)
    .filter(([, difference]) => Number(difference) !== 0)
    .map(
      ([name, difference]) =>
        `${name.slice(0, -1)} is ${Math.abs(Number(difference))} ${Number(difference) > 0 ? 'below' : 'above'} the rows`,
    )
    .join(', ')

const spend = ['calls', 'errors', 'blocked', 'input_tokens', 'output_tokens', 'cost_nano_usd']
const totals = [
  'llm_calls',
  'tool_calls',
  'errors',
  'input_tokens',
  'output_tokens',
  'cost_nano_usd',
  'tree_cost_nano_usd',
]

const differing = (keys: string, what: string, names: readonly string[], rows: string, sums: string): string =>
  `SELECT ${what} AS what, ${names.map(name => `sum(s * toInt64(${name})) AS ${name}_`).join(', ')}
   FROM (${rows} UNION ALL ${sums}) GROUP BY ${keys} HAVING ${names.map(name => `${name}_ != 0`).join(' OR ')} LIMIT 1000`

function views(since: number) {
  const at = `fromUnixTimestamp64Milli(${since})`
  const spendRows = `SELECT 1 AS s, toStartOfMinute(toDateTime(ts, 'UTC')) AS minute, agent, kind, 1 AS calls,
      outcome = 'error' AS errors, outcome = 'blocked' AS blocked, ifNull(input_tokens, 0) AS input_tokens,
      ifNull(output_tokens, 0) AS output_tokens, ifNull(cost_nano_usd, 0) AS cost_nano_usd
    FROM events WHERE kind IN ('llm', 'tool', 'agent') AND ts >= ${at}`
  const spendSums = `SELECT -1 AS s, minute, agent, kind, calls, errors, blocked, input_tokens, output_tokens, cost_nano_usd
    FROM spend_by_minute WHERE minute >= toDateTime(${at}, 'UTC')`
  // Of a run that began before the table does, a part of the rows is gone.
  const runSums = `SELECT -1 AS s, run_id, ${totals.join(', ')} FROM run_totals WHERE run_id NOT IN (${old(at)})`
  const runRows = `SELECT 1 AS s, node AS run_id, toUInt8(own AND kind = 'llm') AS llm_calls,
      toUInt8(own AND kind = 'tool') AS tool_calls, toUInt8(own AND is_call AND outcome = 'error') AS errors,
      if(own AND is_call, ifNull(input, 0), 0) AS input_tokens, if(own AND is_call, ifNull(output, 0), 0) AS output_tokens,
      if(own AND is_call, ifNull(cost, 0), 0) AS cost_nano_usd, if(is_call, ifNull(cost, 0), 0) AS tree_cost_nano_usd
    FROM (SELECT e.kind AS kind, e.outcome AS outcome, e.input_tokens AS input, e.output_tokens AS output,
        e.cost_nano_usd AS cost, e.kind IN ('llm', 'tool', 'agent') AS is_call, node, node = e.run_id AS own
      FROM events AS e ARRAY JOIN arrayDistinct(arrayFilter(r -> r != '',
        arrayPushBack(if(empty(e.ancestors), [e.root_run_id, e.parent_run_id], e.ancestors), e.run_id))) AS node
      WHERE e.topic = 'sluice.events' AND e.run_id != '' AND e.type != 'record.unreadable')
    WHERE node NOT IN (${old(at)})`
  return [
    {
      name: 'spend_by_minute',
      query: differing(
        'minute, agent, kind',
        "concat(toString(minute), ' ', agent, ' ', kind)",
        spend,
        spendRows,
        spendSums,
      ),
      count: `SELECT uniqExact(minute, agent, kind) AS n FROM spend_by_minute WHERE minute >= toDateTime(${at}, 'UTC')`,
    },
    {
      name: 'runs',
      query: differing('run_id', 'run_id', totals, runRows, runSums),
      count: `SELECT uniqExact(run_id) AS n FROM run_totals WHERE run_id NOT IN (${old(at)})`,
    },
  ]
}

const old = (at: string): string => `SELECT run_id FROM run_totals GROUP BY run_id HAVING min(started_at) < ${at}`
