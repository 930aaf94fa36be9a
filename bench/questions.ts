import { parseArgs } from 'node:util'
import { Secret } from '../schemas/secret.ts'
import { type ClickHouseClient, openClickHouse } from '../services/io/clickhouse/client.ts'
import { migrate } from '../services/io/clickhouse/migrate.ts'
import { startTestWarehouse } from '../test/support/warehouse.ts'
import { famous, makeFleet } from './questions/fleet.ts'
import { type Question, readQuestions } from './questions/standing.ts'

/**
 * `node bench/questions.ts [--rows 10000000] [--days 14] [--rounds 5] [--dir <directory>]`
 *
 * Asks each question of `docs/sql.md` on a table of that many made-up events, in an embedded warehouse in a temporary
 * directory (about 1.5 GB for ten million), as the analyst, over HTTP; prints the first time and the median of the rounds.
 * Goal: each under a second. Exit code 1 where one is not. With `--dir` the warehouse is kept there, and filled only if it is
 * empty.
 */
const { values: flags } = parseArgs({
  options: {
    rows: { type: 'string', default: '10000000' },
    days: { type: 'string', default: '14' },
    rounds: { type: 'string', default: '5' },
    dir: { type: 'string' },
  },
})
const goalMs = 1_000

const rows = Number(flags.rows)
await using warehouse = await startTestWarehouse(flags.dir === undefined ? {} : { dataDir: flags.dir })
const where = { url: warehouse.url, user: 'sluice', password: new Secret(warehouse.users.sluice), database: 'sluice' }
await migrate(where)
// A chunk of half a million rows through all the tables takes some ten seconds.
const client = openClickHouse(where, { requestMs: 300_000 })
const analyst = openClickHouse({ ...where, user: 'analyst', password: new Secret(warehouse.users.analyst) })

const [there] = await ask(client, 'SELECT count() AS n FROM events')
if (Number(there?.['n']) === 0) {
  const began = performance.now()
  await makeFleet(client, { rows, days: Number(flags.days) }, done => {
    if (process.stderr.isTTY) process.stderr.write(`\r${Math.round((100 * done) / rows)} % of the rows `)
  })
  const seconds = (performance.now() - began) / 1000
  console.log(`\nmade in ${seconds.toFixed(0)} s: ${Math.round(rows / seconds)} rows/s through all tables`)
  await settled(client)
}
const [size] = await ask(
  client,
  `SELECT formatReadableQuantity(sum(rows)) AS rows, formatReadableSize(sum(bytes_on_disk)) AS disk, count() AS parts
  FROM system.parts WHERE active AND database = currentDatabase() AND table = 'events'`,
)
console.log(`${JSON.stringify(size)}\n`)

const given = await values(client)
let slow = 0
console.log(`${'first'.padStart(8)} ${'median'.padStart(8)} ${'rows'.padStart(6)}  question`)
for (const question of readQuestions()) {
  const times: number[] = []
  let found = 0
  for (let round = 0; round <= Number(flags.rounds); round++) {
    const start = performance.now()
    found = (await ask(analyst, question.sql, valuesFor(question))).length
    times.push(performance.now() - start)
  }
  const [first, ...rest] = times
  const median = rest.toSorted((a, b) => a - b)[rest.length >> 1] ?? Number.NaN
  if (!(Math.max(first!, median) < goalMs)) slow++
  console.log(`${ms(first!)} ${ms(median)} ${String(found).padStart(6)}  ${question.title}`)
}
console.log(`\n${slow === 0 ? 'each under' : `${slow} not under`} ${goalMs} ms`)
await client.close()
await analyst.close()
process.exitCode = slow === 0 ? 0 : 1

function ms(time: number): string {
  return `${time.toFixed(0)} ms`.padStart(8)
}

function valuesFor(question: Question): Record<string, unknown> {
  return Object.fromEntries(question.params.map(name => [name, given[name]]))
}

/** A run with a tree, one of its requests, and the last six hours. */
async function values(from: ClickHouseClient): Promise<Record<string, unknown>> {
  const [run] = await ask(
    from,
    `SELECT run_id AS run, root_run_id AS root FROM runs WHERE parent_run_id != '' ORDER BY last_at DESC LIMIT 1`,
  )
  const [call] = await ask(
    from,
    `SELECT request_id AS request FROM calls WHERE run_id = {run:String} AND kind = 'llm' LIMIT 1`,
    run,
  )
  const at = (hoursAgo: number) =>
    new Date(Date.now() - hoursAgo * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')
  return { ...famous, ...run, ...call, from: at(6), to: at(0) }
}

async function ask(
  of: ClickHouseClient,
  query: string,
  params: Record<string, unknown> = {},
): Promise<Record<string, unknown>[]> {
  const answer = await of.query({ query, query_params: params, format: 'JSONEachRow' })
  return answer.json()
}

/** Merges go on for a while after the last insert; a live table has few under way. */
async function settled(of: ClickHouseClient): Promise<void> {
  for (const until = performance.now() + 60_000; performance.now() < until; ) {
    const [row] = await ask(of, 'SELECT count() AS n FROM system.merges')
    if (Number(row?.['n']) === 0) return
    await new Promise(resolve => setTimeout(resolve, 500))
  }
}
