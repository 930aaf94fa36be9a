import { createHash } from 'node:crypto'
import fs from 'node:fs'
import type { ClickHouseClient } from '@clickhouse/client'
import type { ClickHouseSettings } from '../config/settings.ts'
import { Fault } from '../fault.ts'
import { openClickHouse } from './client.ts'

/** Whole days. Rows older than that go, some hours later, when ClickHouse merges. */
export type Retention = { readonly days: number; readonly rollupDays: number }

/** Three months of single events; of the rollup, which is a hundredth of their size, a year and a month. */
export const defaultRetention: Retention = { days: 90, rollupDays: 400 }

export type Migration = {
  readonly version: number
  readonly name: string
  readonly text: string
  readonly checksum: string
}

/**
 * Brings a ClickHouse to the schema of this program: makes the database, applies the numbered files that were not yet
 * applied, in order, and sets the retention. Running it again, or twice at once, does no harm: each statement says
 * `IF NOT EXISTS`. Answers the names of the files that were applied.
 *
 * Throws the Fault `migration_changed` where a file was edited after it had been applied, and ClickHouse's own errors.
 */
export async function migrate(
  where: ClickHouseSettings,
  retention: Retention = defaultRetention,
): Promise<readonly string[]> {
  await makeDatabase(where)
  const client = openClickHouse(where)
  try {
    await client.command({ query: migrationsTable })
    const applied = await appliedOf(client)
    const done: string[] = []
    for (const migration of readMigrations()) {
      const checksum = applied.get(migration.version)
      if (checksum === migration.checksum) continue
      if (checksum !== undefined) {
        throw new Fault(
          'migration_changed',
          `schemas/clickhouse/${migration.name} is not what was applied to ${where.database}: put the change into a new numbered file`,
        )
      }
      for (const query of statementsOf(migration, retention)) await client.command({ query })
      const { version, name } = migration
      await client.insert({
        table: 'migrations',
        format: 'JSONEachRow',
        values: [{ version, name, checksum: migration.checksum }],
      })
      done.push(name)
    }
    await keepRetention(client, retention)
    return done
  } finally {
    await client.close()
  }
}

const folder = new URL('../../../schemas/clickhouse/', import.meta.url)

export function readMigrations(): readonly Migration[] {
  const names = fs.readdirSync(folder).filter(name => /^\d{3}_\w+\.sql$/.test(name))
  return names.toSorted().map(name => {
    const text = fs.readFileSync(new URL(name, folder), 'utf8')
    return { version: Number(name.slice(0, 3)), name, text, checksum: createHash('sha256').update(text).digest('hex') }
  })
}

/** Statements end with a semicolon at the end of a line; in these files nothing else does. */
export function statementsOf(migration: Migration, retention: Retention): readonly string[] {
  return migration.text
    .replaceAll('{retention_days}', `${retention.days}`)
    .replaceAll('{rollup_retention_days}', `${retention.rollupDays}`)
    .split(/;[ \t]*$/m)
    .filter(statement => statement.replace(/^\s*--.*$/gm, '').trim() !== '')
}

/** From another database, for a server refuses every statement in one that does not exist. */
async function makeDatabase(where: ClickHouseSettings): Promise<void> {
  const client = openClickHouse({ ...where, database: 'default' })
  try {
    await client.command({
      query: `CREATE DATABASE IF NOT EXISTS {database:Identifier}`,
      query_params: { database: where.database },
    })
  } finally {
    await client.close()
  }
}

const migrationsTable = `CREATE TABLE IF NOT EXISTS migrations
(
  version UInt32 COMMENT 'Number of the file in schemas/clickhouse',
  name String COMMENT 'Name of the file',
  checksum String COMMENT 'SHA-256 of the file as it was applied, hex',
  applied_at DateTime('UTC') DEFAULT now() COMMENT 'When it was applied'
)
ENGINE = ReplacingMergeTree ORDER BY version
COMMENT 'Files of schemas/clickhouse that were applied'`

async function appliedOf(client: ClickHouseClient): Promise<ReadonlyMap<number, string>> {
  const answer = await client.query({
    query: 'SELECT version, checksum FROM migrations ORDER BY applied_at',
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ version: number; checksum: string }>()
  return new Map(rows.map(row => [row.version, row.checksum]))
}

const kept = [
  { table: 'events', from: 'toDateTime(ts)', days: (retention: Retention) => retention.days },
  { table: 'run_totals', from: 'touched_at', days: (retention: Retention) => retention.days },
  { table: 'spend_by_minute', from: 'minute', days: (retention: Retention) => retention.rollupDays },
] as const

/** A retention that was changed is a table that has to be told. */
async function keepRetention(client: ClickHouseClient, retention: Retention): Promise<void> {
  const answer = await client.query({
    query: `SELECT name, create_table_query AS text FROM system.tables WHERE database = currentDatabase()`,
    format: 'JSONEachRow',
  })
  const rows = await answer.json<{ name: string; text: string }>()
  for (const { table, from, days } of kept) {
    const wanted = `toIntervalDay(${days(retention)})`
    if (rows.find(row => row.name === table)?.text.includes(wanted)) continue
    await client.command({ query: `ALTER TABLE ${table} MODIFY TTL ${from} + ${wanted} DELETE` })
  }
}
