import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { readSettings, type Settings } from '../io/config-settings.ts'
import { readCredentials } from '../io/credentials.ts'
import { Fault } from '../io/fault.ts'
import { runningStack } from '../io/stack.ts'
import { reasonOf } from './admin.ts'
import type { Command } from './command.ts'
import { misused } from './command.ts'

/** `sluice sql "<query>"`: as the analyst, a table for eyes; `FORMAT …` in the query wins over both. */
export const command: Command = async (args, shell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      user: { type: 'string' },
      param: { type: 'string', multiple: true },
    },
  })
  const given = positionals.join(' ').trim()
  const query = given === '-' ? await text(process.stdin) : given
  if (query.trim() === '') throw misused('Give a query: sluice sql "SELECT agent, count() FROM calls GROUP BY agent".')
  const door = doorOf(readSettings(shell.env), values.user ?? 'analyst')
  const url = new URL(door.url)
  url.searchParams.set('database', door.database)
  url.searchParams.set('default_format', values.json === true ? 'JSONEachRow' : 'PrettyCompactMonoBlock')
  if (values.json === true) {
    url.searchParams.set('output_format_json_array_of_rows', '1')
    url.searchParams.set('output_format_json_quote_64bit_integers', '0')
  }
  for (const param of values.param ?? []) {
    const at = param.indexOf('=')
    if (at < 1) throw misused(`--param wants name=value, got ${param}.`)
    url.searchParams.set(`param_${param.slice(0, at)}`, param.slice(at + 1))
  }
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
  if (response.body !== null) await pipeline(Readable.fromWeb(response.body), process.stdout, { end: false })
  return 0
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
