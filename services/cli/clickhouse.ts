import type { Settings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { readCredentials } from '../io/keys/credentials.ts'
import { runningStack } from '../io/stack.ts'
import { reasonOf } from './admin.ts'
import { misused } from './command.ts'

export type Asked = {
  readonly user?: string
  readonly format: string
  readonly settings?: Readonly<Record<string, string>>
  /** Of `{name:Type}` in the query. */
  readonly params?: readonly (readonly [name: string, value: string])[]
}

/** Asks ClickHouse, whichever it is; throws the Faults `unreachable`, `not_started` and `sql_failed`. */
export async function askClickHouse(settings: Settings, query: string, asked: Asked): Promise<Response> {
  const door = doorOf(settings, asked.user ?? 'analyst')
  const url = new URL(door.url)
  url.searchParams.set('database', door.database)
  url.searchParams.set('default_format', asked.format)
  for (const [name, value] of Object.entries(asked.settings ?? {})) url.searchParams.set(name, value)
  for (const [name, value] of asked.params ?? []) url.searchParams.set(`param_${name}`, value)
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'x-clickhouse-user': door.user, 'x-clickhouse-key': door.password },
    body: query,
  }).catch(error => {
    throw new Fault('unreachable', `ClickHouse at ${door.url} does not answer (${reasonOf(error)}); ${door.hint}.`, {
      cause: error,
    })
  })
  if (!response.ok || response.headers.has('x-clickhouse-exception-code'))
    throw new Fault('sql_failed', (await response.text()).trim() || `ClickHouse answered ${response.status}.`)
  return response
}

/** The rows of a query, numbers as numbers. `Row` is what the query selects. */
export async function rowsOf<Row>(
  settings: Settings,
  query: string,
  params: Asked['params'] = [],
): Promise<readonly Row[]> {
  const response = await askClickHouse(settings, query, {
    format: 'JSONEachRow',
    settings: { output_format_json_quote_64bit_integers: '0' },
    params,
  })
  const text = (await response.text()).trim()
  return text === '' ? [] : text.split('\n').map(line => JSON.parse(line) as Row) // the query says what a row has
}

type SqlDoor = {
  readonly url: string
  readonly user: string
  readonly password: string
  readonly database: string
  /** What to do where nobody answers. */
  readonly hint: string
}

function doorOf(settings: Settings, user: string): SqlDoor {
  const { clickhouse } = settings
  if (clickhouse !== null) {
    const { url, database } = clickhouse
    return {
      url,
      database,
      user: clickhouse.user,
      password: clickhouse.password.reveal(),
      hint: 'look at CLICKHOUSE_URL',
    }
  }
  if (user !== 'analyst' && user !== 'sluice') throw misused(`There are two users, analyst and sluice; not ${user}.`)
  const credentials = readCredentials(settings)
  if (credentials === null)
    throw new Fault(
      'not_started',
      `Nothing was ever started on ${settings.dataDir}; run npm start first, or set SLUICE_DATA_DIR.`,
    )
  return {
    url: runningStack(settings.dataDir)?.warehouse ?? `http://127.0.0.1:${settings.warehousePort}`,
    user,
    password: credentials.warehouse[user].reveal(),
    database: 'sluice',
    hint: 'start the stack first with npm start',
  }
}
