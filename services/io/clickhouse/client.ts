import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import type { ClickHouseSettings } from '../config/settings.ts'

export type { ClickHouseClient }

/**
 * A ClickHouse, whoever answers: a server, a cluster or the `warehouse` role. `database` is the default of every statement
 * and has to exist (`migrate` makes it).
 */
export function openClickHouse(
  where: ClickHouseSettings,
  options: { readonly requestMs?: number } = {},
): ClickHouseClient {
  return createClient({
    url: where.url,
    username: where.user,
    password: where.password.reveal(),
    database: where.database,
    application: 'sluice',
    // A batch takes tens of milliseconds; what has not answered after this is taken for away, and asked again.
    request_timeout: options.requestMs ?? 30_000,
    // The sink's inserts, its look-ups, and a few questions beside them.
    max_open_connections: 8,
    // Errors come to the caller, who decides whether they are worth a line.
    log: { level: ClickHouseLogLevel.OFF },
  })
}
