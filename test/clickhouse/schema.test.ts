import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fact } from '../../schemas/events.ts'
import { defaultRetention, migrate, readMigrations } from '../../services/io/clickhouse/migrate.ts'
import { contract } from './columns.ts'
import { type Opened, openWarehouse } from './opened.ts'

describe('the tables', () => {
  let opened: Opened
  before(async () => {
    opened = await openWarehouse()
  })
  after(() => opened?.[Symbol.asyncDispose]())

  test('made once, they are not made again', async () => {
    assert.deepEqual(await migrate(opened.where), [])
    const applied = await opened.rows<{ name: string }>('SELECT name FROM migrations ORDER BY version')
    assert.deepEqual(
      applied.map(row => row.name),
      readMigrations().map(migration => migration.name),
    )
  })

  test('a file that was edited after it was applied is refused by its name', async () => {
    const [, , third] = readMigrations()
    const row = {
      version: third!.version,
      name: third!.name,
      checksum: 'of another text',
      applied_at: '2100-01-01 00:00:00',
    }
    await opened.client.insert({ table: 'migrations', values: [row], format: 'JSONEachRow' })
    await assert.rejects(migrate(opened.where), { code: 'migration_changed', message: /003_calls\.sql/ })
    const right = { ...row, checksum: third!.checksum, applied_at: '2101-01-01 00:00:00' }
    await opened.client.insert({ table: 'migrations', values: [right], format: 'JSONEachRow' })
    assert.deepEqual(await migrate(opened.where), [])
  })

  test('the columns are the ones of the contract, in its order', async () => {
    for (const [table, columns] of Object.entries(contract)) {
      const rows = await opened.rows<{ name: string }>(
        'SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position',
        { table },
      )
      assert.equal(rows.map(row => row.name).join(' '), columns, table)
    }
    const tables = await opened.rows<{ name: string }>(
      'SELECT name FROM system.tables WHERE database = currentDatabase()',
    )
    for (const name of ['events', 'attempts', 'ledger', 'spend_by_minute'])
      assert.ok(
        tables.some(row => row.name === name),
        name,
      )
  })

  test('every table and every column says what it is', async () => {
    const silent = await opened.rows(
      `SELECT c.table, c.name FROM system.columns AS c JOIN system.tables AS t ON t.database = c.database AND t.name = c.table
       WHERE c.database = currentDatabase() AND c.comment = '' AND t.engine != 'MaterializedView'`,
    )
    assert.deepEqual(silent, [])
    const nameless = await opened.rows(
      `SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = '' AND engine != 'MaterializedView'`,
    )
    assert.deepEqual(nameless, [])
  })

  test('every field of every fact is a column of events', async () => {
    const rows = await opened.rows<{ name: string }>(
      `SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'events'`,
    )
    const columns = new Set(rows.map(row => row.name))
    const fields = fact.options.flatMap(option => Object.keys(option.shape))
    assert.deepEqual(
      [...new Set(fields)].filter(field => !columns.has(field)),
      [],
    )
  })

  test('every table that is filled keeps its own record of the batches it took', async () => {
    const rows = await opened.rows<{ name: string; text: string }>(
      `SELECT name, create_table_query AS text FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name != 'migrations'`,
    )
    assert.deepEqual(rows.map(row => row.name).toSorted(), ['events', 'run_totals', 'spend_by_minute'])
    for (const row of rows) assert.match(row.text, /non_replicated_deduplication_window = 10000/, row.name)
  })

  test('a retention that is changed reaches the tables', async () => {
    const ttl = async () =>
      opened.rows<{ name: string; days: string }>(
        `SELECT name, extract(create_table_query, 'toIntervalDay\\\\((\\\\d+)\\\\)') AS days FROM system.tables
         WHERE database = currentDatabase() AND name IN ('events', 'run_totals', 'spend_by_minute') ORDER BY name`,
      )
    await migrate(opened.where, { days: 7, rollupDays: 30 })
    assert.deepEqual(
      (await ttl()).map(row => row.days),
      ['7', '7', '30'],
    )
    await migrate(opened.where, defaultRetention)
    assert.deepEqual(
      (await ttl()).map(row => row.days),
      ['90', '90', '400'],
    )
  })
})

test('rows older than the retention go, younger ones stay', async () => {
  await using opened = await openWarehouse({}, { days: 7, rollupDays: 30 })
  const at = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 23).replace('T', ' ')
  const row = (days: number) => ({
    topic: 'sluice.events',
    event_id: `day-${days}`,
    type: 'llm.completed',
    ts: at(days),
    agent: 'a',
    run_id: `run-${days}`,
    root_run_id: `run-${days}`,
    outcome: 'success',
  })
  await opened.client.insert({ table: 'events', values: [1, 6, 9, 40].map(row), format: 'JSONEachRow' })
  for (const table of ['events', 'run_totals', 'spend_by_minute'])
    await opened.client.command({ query: `OPTIMIZE TABLE ${table} FINAL` })
  assert.deepEqual(await opened.rows('SELECT event_id FROM events ORDER BY ts DESC'), [
    { event_id: 'day-1' },
    { event_id: 'day-6' },
  ])
  assert.deepEqual(await opened.rows('SELECT run_id FROM runs ORDER BY last_at DESC'), [
    { run_id: 'run-1' },
    { run_id: 'run-6' },
  ])
  assert.deepEqual(await opened.rows('SELECT sum(calls) AS calls FROM spend_by_minute'), [{ calls: 3 }])
})
