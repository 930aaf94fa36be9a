import type { EngineSettings } from './engine.ts'
import { refusal } from './exception.ts'

/** What one statement of an analyst may take. Asking for less is allowed, asking for more is refused. */
export type AnalystLimits = {
  readonly maxExecutionSeconds: number
  readonly maxMemoryBytes: number
  readonly maxResultRows: number
  readonly maxResultBytes: number
}

/** A dashboard's or a person's question; a gigabyte leaves the sink its memory on a laptop of four. */
export const defaultAnalystLimits: AnalystLimits = {
  maxExecutionSeconds: 30,
  maxMemoryBytes: 1_000_000_000,
  maxResultRows: 1_000_000,
  maxResultBytes: 268_435_456,
}

/** Of the HTTP interface, not of the engine: read by this role, or without meaning here. */
const transport = new Set([
  ...['query', 'query_id', 'user', 'password', 'database', 'default_format', 'quota_key', 'role', 'framing'],
  ...['session_id', 'session_timeout', 'session_check', 'close_session'],
  ...['compress', 'decompress', 'buffer_size', 'wait_end_of_query', 'stacktrace', 'client_protocol_version'],
  ...['enable_http_compression', 'http_zlib_compression_level', 'http_response_compression_method'],
  ...['send_progress_in_http_headers', 'http_headers_progress_interval_ms', 'http_send_progress_interval_ms'],
  ...['http_wait_end_of_query', 'http_response_buffer_size', 'http_write_exception_in_output_format'],
  ...['http_native_compression_disable_checksumming_on_decompress', 'add_http_cors_header'],
  ...['cancel_http_readonly_queries_on_client_close', 'http_send_timeout', 'http_receive_timeout'],
  ...['http_make_head_request', 'http_response_headers'],
  // Names the statement for KILL, so it is ours.
  'log_comment',
  // The embedded engine inserts synchronously whatever it is told: acknowledged later than asked for, never earlier.
  ...['async_insert', 'wait_for_async_insert', 'wait_for_async_insert_timeout', 'async_insert_busy_timeout_ms'],
])

export const isEngineSetting = (name: string): boolean => !transport.has(name) && !name.startsWith('param_')

/**
 * How values look on the way out. Not with them: what names a file, a schema, a template, an address (the engine
 * would read or write there), and what unmasks secrets.
 */
function isFormatSetting(name: string): boolean {
  if (/schema|template|path|registry|url|secret|protobuf|capn_proto|avro|regexp/.test(name)) return false
  return /^(output_format_|format_csv_|format_tsv_|format_custom_|format_json_)/.test(name) || otherFormat.has(name)
}

const otherFormat = new Set([
  'date_time_input_format',
  'date_time_output_format',
  'date_time_overflow_behavior',
  'interval_output_format',
  'bool_true_representation',
  'bool_false_representation',
  'extremes',
  // The zone times are shown in; BI tools send it with every query.
  'session_timezone',
])

/** Throws READONLY for whatever is neither a format nor a lower limit. */
export function judgeAnalystSetting(name: string, value: string, limits: AnalystLimits): void {
  const most: Readonly<Record<string, number>> = {
    max_execution_time: limits.maxExecutionSeconds,
    max_memory_usage: limits.maxMemoryBytes,
    max_result_rows: limits.maxResultRows,
    max_result_bytes: limits.maxResultBytes,
    max_rows_to_read: Number.MAX_SAFE_INTEGER,
    max_bytes_to_read: Number.MAX_SAFE_INTEGER,
  }
  const limit = most[name]
  const asked = /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN
  // Zero means unlimited.
  if (limit !== undefined && asked > 0 && asked <= limit) return
  // Cutting a result at the limit instead of failing: what tools with a row limit of their own ask for.
  if (name === 'result_overflow_mode' && (value === 'break' || value === 'throw')) return
  if (isFormatSetting(name)) return
  throw refusal(
    'READONLY',
    limit === undefined
      ? `Cannot modify '${name}' setting in readonly mode. An analyst may set formats and lower limits`
      : `Cannot modify '${name}' setting in readonly mode. An analyst may lower it from ${limit}`,
  )
}

export function analystBase(limits: AnalystLimits): EngineSettings {
  return {
    max_execution_time: limits.maxExecutionSeconds,
    timeout_overflow_mode: 'throw',
    max_memory_usage: limits.maxMemoryBytes,
    max_result_rows: limits.maxResultRows,
    max_result_bytes: limits.maxResultBytes,
    result_overflow_mode: 'throw',
    // A sort that outgrows its memory goes to disk; not without end.
    max_temporary_data_on_disk_size_for_query: 2 * limits.maxMemoryBytes,
    allow_ddl: 0,
  }
}

export type Setup = {
  readonly database: string
  readonly settings: readonly (readonly [name: string, value: string])[]
  /** As they stand in the URL: escaped like a TSV field. */
  readonly params: readonly (readonly [name: string, value: string])[]
  readonly readonly: boolean
}

/** The statements that make a fresh connection the caller's. `readonly` comes last: nothing can be set after it. */
export function setupSql(setup: Setup): string {
  const size = setup.params.reduce((sum, [, value]) => sum + 2 * value.length, 0)
  const changes = [...setup.settings, ...setup.params.map(([name, value]) => [`param_${name}`, value] as const)]
  return [
    // A server takes parameters of any size; here they pass through a statement, which has a limit.
    size > 100_000 ? `SET max_query_size = ${size + 1_048_576}` : undefined,
    `USE ${quoteName(setup.database)}`,
    changes.length === 0
      ? undefined
      : `SET ${changes.map(([name, value]) => `${settingName(name)} = ${quoteText(value)}`).join(', ')}`,
    size > 100_000 ? 'SET max_query_size = 262144' : undefined,
    setup.readonly ? 'SET readonly = 1' : undefined,
  ]
    .filter(part => part !== undefined)
    .join(';\n')
}

function settingName(name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw refusal('UNKNOWN_SETTING', `Unknown setting '${name}'`)
  return name
}

const quoteName = (name: string): string => `\`${name.replace(/[\\`]/g, c => `\\${c}`)}\``
export const quoteText = (text: string): string => `'${text.replace(/[\\']/g, c => `\\${c}`)}'`
