import { Secret } from '../../schemas/secret.ts'
import { type ClickHouseClient, openClickHouse } from '../../services/io/clickhouse/client.ts'
import { migrate, type Retention } from '../../services/io/clickhouse/migrate.ts'
import type { ClickHouseSettings } from '../../services/io/config/settings.ts'
import { startTestWarehouse, type TestWarehouse, type TestWarehouseOptions } from '../support/warehouse.ts'

export type Opened = AsyncDisposable & {
  readonly warehouse: TestWarehouse
  readonly where: ClickHouseSettings
  /** As the user `sluice`. */
  readonly client: ClickHouseClient
  readonly analyst: ClickHouseClient
  /** Rows of a statement, 64-bit integers as numbers. */
  readonly rows: <Row = Record<string, unknown>>(query: string, params?: Record<string, unknown>) => Promise<Row[]>
}

export const settingsOf = (warehouse: TestWarehouse, user: 'sluice' | 'analyst' = 'sluice'): ClickHouseSettings => ({
  url: warehouse.url,
  user,
  password: new Secret(warehouse.users[user]),
  database: 'sluice',
})

/** A warehouse of its own with all tables. */
export async function openWarehouse(options: TestWarehouseOptions = {}, retention?: Retention): Promise<Opened> {
  const warehouse = await startTestWarehouse(options)
  const where = settingsOf(warehouse)
  await migrate(where, retention)
  const client = openClickHouse(where)
  const analyst = openClickHouse(settingsOf(warehouse, 'analyst'))
  return {
    warehouse,
    where,
    client,
    analyst,
    rows: (query, params) => rowsOf(client, query, params),
    [Symbol.asyncDispose]: async () => {
      await client.close()
      await analyst.close()
      await warehouse.stop()
    },
  }
}

export async function rowsOf<Row = Record<string, unknown>>(
  client: ClickHouseClient,
  query: string,
  params: Record<string, unknown> = {},
): Promise<Row[]> {
  const answer = await client.query({
    query,
    query_params: params,
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
  })
  return answer.json<Row>()
}
