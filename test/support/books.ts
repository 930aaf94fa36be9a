import assert from 'node:assert/strict'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { topics } from '../../schemas/topics.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { forwarderGroup } from '../../services/io/log/forward.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import type { Call } from './load.ts'
import { tallyOf } from './load.ts'
import { gatewaysAreUp, type Stack } from './stack.ts'
import { until } from './until.ts'

/** Rows of a statement, with all rights; 64-bit integers as numbers. */
export async function sql<Row>(stack: Stack, query: string): Promise<readonly Row[]> {
  const url = `${stack.told('SQL')}/?default_format=JSONEachRow&output_format_json_quote_64bit_integers=0`
  const headers = { 'x-clickhouse-user': 'sluice', 'x-clickhouse-key': stack.credentials().warehouse['sluice'] ?? '' }
  const answer = await fetch(url, { method: 'POST', headers, body: query, signal: AbortSignal.timeout(20_000) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(text)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

/** The log of an embedded stack, to look at. */
export const logOf = (stack: Stack): EventLog => openFileLog({ dir: path.join(stack.dataDir, 'log') })

/**
 * Waits until all gateways are up, for a life ends the calls that the one before it left open; until all that they wrote
 * has been shipped; and until all that was shipped has been through the sink: after this no row comes any more. `shared`
 * is the log where the roles meet.
 */
export async function drained(stack: Stack, shared: EventLog, ms: number): Promise<void> {
  await until('the gateways', () => gatewaysAreUp(stack), ms)
  const spool = openFileLog({ dir: path.join(stack.dataDir, 'spool') })
  const passed = async (log: EventLog, group: string) => {
    for (const { name } of [topics.events, topics.alerts])
      for (const partition of await log.partitions(name)) {
        const at = { topic: name, partition }
        const [{ end }, mark] = await Promise.all([log.bounds(at), log.committed(group, at)])
        if (end > 0 && (mark?.offset ?? 0) < end) return false
      }
    return true
  }
  try {
    await until(
      'all events to be shipped and stored',
      async () => (await passed(spool, forwarderGroup)) && (await passed(shared, 'sink')),
      ms,
      100,
    )
  } finally {
    await spool.close()
  }
}

type Row = { readonly n: string; readonly rows: number; readonly outcomes: string[]; readonly reasons: string[] }

export type Audit = {
  readonly answered: number
  readonly stored: number
  readonly lost: number
  readonly duplicated: number
  /** Rows of calls that nobody made. */
  readonly invented: number
  /** What became of calls that got no whole answer. */
  readonly unanswered: Readonly<Record<string, number>>
}

/** Compares what clients saw with what ClickHouse has. Call it when all is drained. */
export async function audit(stack: Stack, calls: readonly Call[]): Promise<Audit> {
  const rows = await sql<Row>(
    stack,
    `SELECT labels['n'] AS n, count() AS rows, groupUniqArray(toString(outcome)) AS outcomes,
     groupUniqArray(toString(reason)) AS reasons FROM calls WHERE kind = 'llm' AND n != '' GROUP BY n`,
  )
  const byNumber = new Map(rows.map(row => [row.n, row]))
  const unanswered: Record<string, number> = {}
  let lost = 0
  for (const { n, how } of calls) {
    const row = byNumber.get(n)
    if (how === 'answered') {
      if (row === undefined) lost++
      else assert.deepEqual([row.outcomes, row.reasons], [['success'], ['']], `call ${n} was answered`)
      continue
    }
    const came = row === undefined ? `${how}, no row` : `${row.outcomes} ${row.reasons}`.trim()
    unanswered[came] = (unanswered[came] ?? 0) + 1
  }
  const made = new Set(calls.map(call => call.n))
  return {
    answered: tallyOf(calls).answered,
    stored: rows.length,
    lost,
    duplicated: rows.reduce((sum, row) => sum + row.rows - 1, 0),
    invented: rows.filter(row => !made.has(row.n)).length,
    unanswered,
  }
}

/** Every table that is filled from events says the same; no number of a producer is missing, twice, or out of order. */
export async function assertBooks(stack: Stack): Promise<void> {
  const [sums] = await sql<Record<string, number>>(
    stack,
    `SELECT (SELECT count() FROM calls) AS calls, (SELECT sum(llm_calls + tool_calls) FROM runs) AS of_runs,
     (SELECT sum(calls) FROM spend_by_minute) AS of_minutes,
     (SELECT sum(cost_nano_usd) FROM calls) AS cost, (SELECT sum(cost_nano_usd) FROM runs) AS cost_of_runs,
     (SELECT sum(cost_nano_usd) FROM spend_by_minute) AS cost_of_minutes`,
  )
  const { calls, cost } = sums!
  assert.deepEqual(sums, {
    calls,
    of_runs: calls,
    of_minutes: calls,
    cost,
    cost_of_runs: cost,
    cost_of_minutes: cost,
  })
  const places = await sql(stack, 'SELECT topic, partition, offset FROM events GROUP BY ALL HAVING count() > 1 LIMIT 5')
  assert.deepEqual(places, [], 'each place on the log is one row')
  const twice = await sql(stack, 'SELECT event_id FROM events GROUP BY event_id HAVING count() > 1 LIMIT 5')
  assert.deepEqual(twice, [], 'each event is one row')
  const disorder = await sql(
    stack,
    `SELECT * FROM (SELECT event_id, sequence, lagInFrame(toInt64(sequence), 1, -1) OVER w AS before FROM events
     WHERE producer LIKE 'gateway-%' WINDOW w AS (PARTITION BY topic, partition, producer, epoch ORDER BY offset))
     WHERE before >= sequence LIMIT 5`,
  )
  assert.deepEqual(disorder, [], 'each producer is in order')
  const alarms = await sql(stack, 'SELECT type, data FROM alerts')
  assert.deepEqual(alarms, [], 'nothing was missed')
}

/** One line for whoever reads a test's output. */
export const inWords = (seed: number, kills: Readonly<Record<string, number>>, calls: readonly Call[], found: Audit) =>
  [
    `seed ${seed}: killed ${listed(kills)}`,
    `sent ${calls.length}, answered ${found.answered}, stored ${found.stored}, lost ${found.lost}, duplicated ${found.duplicated}`,
    `rows without a request ${found.invented}; without a whole answer: ${listed(found.unanswered)}`,
  ].join('; ')

export const listed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'none'

/** After load and kills: every answered call is a row, once, no row is invented, and the books can be proved. */
export async function assertNothingLost(
  t: TestContext,
  stack: Stack,
  /** Where the roles meet. */
  log: EventLog,
  told: {
    readonly seed: number
    readonly kills: Readonly<Record<string, number>>
    readonly calls: readonly Call[]
    /** Calls that have to have been answered, or there was no load. */
    readonly atLeast: number
  },
): Promise<void> {
  const { seed, kills, calls, atLeast } = told
  await drained(stack, log, 60_000)
  const found = await until('the tables', () => audit(stack, calls), 20_000)
  t.diagnostic(inWords(seed, kills, calls, found))
  assert.ok(tallyOf(calls).answered > atLeast, 'there was load')
  assert.deepEqual([found.lost, found.duplicated, found.invented], [0, 0, 0])
  await assertBooks(stack)
}
