import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { readSettings } from '../io/config/settings.ts'
import { askClickHouse } from './clickhouse.ts'
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
  const response = await askClickHouse(readSettings(shell.env), query, {
    user: values.user ?? 'analyst',
    format: values.json === true ? 'JSONEachRow' : 'PrettyCompactMonoBlock',
    settings:
      values.json === true
        ? { output_format_json_array_of_rows: '1', output_format_json_quote_64bit_integers: '0' }
        : {},
    params: (values.param ?? []).map(param => {
      const at = param.indexOf('=')
      if (at < 1) throw misused(`--param wants name=value, got ${param}.`)
      return [param.slice(0, at), param.slice(at + 1)]
    }),
  })
  if (response.body !== null) await pipeline(Readable.fromWeb(response.body), process.stdout, { end: false })
  return 0
}
