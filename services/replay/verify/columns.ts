import { hash } from 'node:crypto'
import { parseEventId } from '../../../schemas/envelope.ts'
import type { Raw } from './reading.ts'

/**
 * The columns of the table `events` as texts, written here from a record of the log and by ClickHouse from a row, each in
 * the same way: so that both sides can be hashed, and where the hashes differ, be laid side by side.
 *
 * Left out: the place (by which rows are found), when the row was stored, and what ClickHouse makes of the others itself.
 */
type Column = { readonly name: string; readonly sql: string; readonly of: (value: unknown) => string }

const quoted = (name: string): string => `\`${name}\``
const known = (value: unknown): boolean => value !== undefined && value !== null
const textOf = (value: unknown): string => (known(value) ? String(value) : '')

const text = (name: string): Column => ({ name, sql: `toString(${quoted(name)})`, of: textOf })
const number = (name: string): Column => ({ name, sql: `toString(${quoted(name)})`, of: value => textOf(value ?? 0) })
const maybe = (name: string): Column => ({ name, sql: `ifNull(toString(${quoted(name)}), '')`, of: textOf })
const flag = (name: string): Column => ({ name, sql: `toString(${quoted(name)})`, of: value => textOf(value ?? false) })
const list = (name: string): Column => ({
  name,
  sql: `arrayStringConcat(CAST(${quoted(name)}, 'Array(String)'), '\\x1e')`,
  of: value => (Array.isArray(value) ? value.join('\x1e') : ''),
})
const table = (name: string): Column => ({
  name,
  sql: `arrayStringConcat(arrayMap((k, v) -> concat(toString(k), '\\x1d', v), mapKeys(${name}), mapValues(${name})), '\\x1e')`,
  of: value =>
    Object.entries(value ?? {})
      .map(([key, one]) => `${key}\x1d${one}`)
      .join('\x1e'),
})
/** In 1,024ths, which takes nothing from a binary fraction but its tail, on either side. */
const fraction = (name: string): Column => ({
  name,
  sql: `ifNull(toString(toInt64(floor(${name} * 1024))), '')`,
  of: value => (typeof value === 'number' ? String(Math.floor(value * 1024)) : ''),
})
const object = (name: string): Column => ({
  name,
  sql: name,
  of: value => (known(value) ? (typeof value === 'string' ? value : JSON.stringify(value)) : ''),
})

export const columns: readonly Column[] = [
  ...['event_id', 'producer'].map(text),
  ...['epoch', 'sequence'].map(number),
  text('type'),
  { name: 'ts', sql: 'toString(toUnixTimestamp64Milli(ts))', of: textOf },
  ...['source', 'org', 'team', 'agent', 'user', 'key_id', 'session_id', 'task'].map(text),
  table('labels'),
  ...['run_id', 'root_run_id', 'parent_run_id'].map(text),
  list('ancestors'),
  ...['depth', 'step'].map(number),
  ...['run_source', 'request_id', 'trace_id', 'parent_span_id'].map(text),
  list('chain'),
  ...['chain_verified', 'stream'].map(flag),
  ...['policy_version', 'operation', 'protocol', 'provider', 'model_requested', 'model', 'response_id'].map(text),
  ...['server', 'tool', 'tool_call_id', 'observed', 'peer_agent', 'args', 'args_hash', 'result', 'result_hash'].map(
    text,
  ),
  ...['result_bytes', 'result_empty'].map(maybe),
  ...['input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'reasoning_tokens'].map(maybe),
  ...['usage_source', 'price_version'].map(text),
  ...['cost_nano_usd', 'bound_input_tokens', 'bound_output_tokens', 'bound_nano_usd', 'limit_nano_usd'].map(maybe),
  ...['outcome', 'reason', 'finish_reason', 'error_type'].map(text),
  ...['http_status', 'upstream_status', 'gateway_us', 'queue_us'].map(maybe),
  ...['attempts', 'count'].map(number),
  ...['latency_ms', 'ttft_ms'].map(fraction),
  ...['decision', 'rule', 'scope', 'action', 'mode', 'actor', 'on', 'detect'].map(text),
  list('evidence'),
  object('data'),
]

/** ClickHouse's side: an array of texts, and two halves of its hash. */
export const cellsSql = `[${columns.map(column => column.sql).join(', ')}]`
const hashSql = `MD5(arrayStringConcat(${cellsSql}, '\\x1f'))`
export const halvesSql = `sum(reinterpretAsUInt32(substring(hashed, 1, 4))) AS a, sum(reinterpretAsUInt32(substring(hashed, 5, 4))) AS b`
export const hashedSql = `${hashSql} AS hashed`

export type Cells = readonly string[]

const blank: Cells = columns.map(({ of }) => of(undefined))
const places: ReadonlyMap<string, number> = new Map(columns.map(({ name }, i) => [name, i]))

/** Our side; null for what the sink cannot make a row of either. A record says a third of the columns. */
export function cellsOf(raw: Raw | null): Cells | null {
  if (raw === null || raw.id === '' || raw.type === '' || Number.isNaN(raw.time)) return null
  const cells = [...blank]
  const fill = (name: string, value: unknown): void => {
    const place = places.get(name)
    if (place !== undefined) cells[place] = columns[place]?.of(value) ?? ''
  }
  for (const name in raw) fill(name, raw[name])
  fill('event_id', raw.id)
  fill('ts', raw.time)
  const origin = parseEventId(raw.id)
  if (origin === null || origin.epoch < 0 || origin.sequence < 0) return cells
  fill('producer', origin.producer)
  fill('epoch', origin.epoch)
  fill('sequence', origin.sequence)
  return cells
}

export function halvesOf(cells: Cells): readonly [number, number] {
  const digest = hash('md5', cells.join('\x1f'), 'buffer')
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)]
}

/** In what two rows differ, in words; null where they say the same, be it in another order of keys. */
export function differenceOf(logged: Cells, stored: Cells): string | null {
  const differing = columns.flatMap(({ name }, i) => {
    const [a, b] = [logged[i] ?? '', stored[i] ?? '']
    return a === b || isAlike(name, a, b) ? [] : [`${name} is ${shown(b)} in the table and ${shown(a)} on the log`]
  })
  return differing.length === 0 ? null : differing.slice(0, 5).join(', ')
}

const shown = (cell: string): string => (cell === '' ? 'empty' : cell.length > 80 ? `${cell.slice(0, 79)}…` : cell)

function isAlike(name: string, a: string, b: string): boolean {
  // Half a character of a preview that was cut becomes another sign in each program.
  if (!a.isWellFormed()) return true
  switch (name) {
    case 'labels':
      return a.split('\x1e').toSorted().join('\x1e') === b.split('\x1e').toSorted().join('\x1e')
    case 'data':
      return sameJson(a, b)
    case 'latency_ms':
    case 'ttft_ms':
      return a !== '' && b !== '' && Math.abs(Number(a) - Number(b)) <= 1
    default:
      return false
  }
}

function sameJson(a: string, b: string): boolean {
  try {
    return JSON.stringify(JSON.parse(a)) === JSON.stringify(JSON.parse(b))
  } catch {
    return false
  }
}
