import { Readable } from 'node:stream'
import { ClickHouseError } from '@clickhouse/client'
import type { Telling } from '../core/sequence.ts'
import type { ClickHouseClient } from '../io/clickhouse/client.ts'
import { textOf } from '../io/fault.ts'
import type { Partition } from '../io/log/port.ts'

/** What the sink says to ClickHouse and asks of it. Everything throws what the client throws. */
export type Table = {
  /** All rows or none. With a token that was used before, none again. */
  insert(lines: readonly Buffer[], token: string): Promise<void>
  /** Why ClickHouse cannot read a row, by index; empty where it can read all. Stores nothing. */
  refused(rows: readonly (readonly Buffer[])[]): Promise<ReadonlyMap<number, string>>
  /** Last sequence that is stored of each life, of events that stand below `before` in the partition. */
  lastHeard(at: Partition, lives: ReadonlyMap<string, Since>, before: number): Promise<ReadonlyMap<string, number>>
  /** Highest offset that is stored of the partition; null where none is. */
  highest(at: Partition): Promise<number | null>
  /** Event ids that are stored between two offsets, both included. */
  present(at: Partition, from: number, to: number): Promise<ReadonlyMap<number, string>>
}

/** Where a life's past can begin: at the time of its first event, if this is the one; otherwise nobody knows. */
export type Since = { readonly telling: Telling; readonly time: number | null }

/** Whether an error may be a row's fault: it came while rows were read, and not from what the engine lacks just now. */
export const blamesARow = (error: unknown): boolean =>
  error instanceof ClickHouseError &&
  /\(at row \d+\)|JSONEachRowRowInputFormat/.test(error.message) &&
  !/^(MEMORY_LIMIT|TIMEOUT|QUERY_WAS_CANCELLED|ABORTED|SOCKET|NETWORK|CANNOT_SCHEDULE|NOT_ENOUGH_SPACE|TOO_MANY)/.test(
    error.type ?? '',
  )

const reading = {
  // What a newer producer says beside our columns stays on the log.
  input_format_skip_unknown_fields: 1,
  input_format_null_as_default: 1,
  // `data` is an object on the log and a text in the table, with the very same bytes.
  input_format_json_read_objects_as_strings: 1,
  // A preview that was cut within an emoji holds half a character; that is no reason to lose the row.
  input_format_json_throw_on_bad_escape_sequence: 0,
  // One block per batch: what fails at its last row must not have stored the rows before.
  input_format_parallel_parsing: 0,
  max_insert_block_size: '1000000',
  min_insert_block_size_rows: '1000000',
  // A log that is read from its beginning after a long pause has many days in one batch.
  max_partitions_per_insert_block: '0',
  async_insert: 0,
  // An error must come as one, not in the middle of a 200.
  wait_end_of_query: 1,
} as const

export function openTable(client: ClickHouseClient): Table {
  const put = async (
    table: string,
    lines: readonly Buffer[],
    settings: Record<string, string | number>,
  ): Promise<void> => {
    const answer = await client.exec({
      query: `INSERT INTO ${table} FORMAT JSONEachRow`,
      values: Readable.from([Buffer.concat(lines)], { objectMode: false }),
      clickhouse_settings: { ...reading, ...settings },
    })
    for await (const _ of answer.stream) void _ // the answer is empty; the socket is free again at its end
  }
  const ask = async <Row>(query: string, query_params: Record<string, unknown>): Promise<Row[]> => {
    const settings = { output_format_json_quote_64bit_integers: 0, max_execution_time: 60 } as const
    const answer = await client.query({ query, query_params, format: 'JSONEachRow', clickhouse_settings: settings })
    return answer.json<Row>()
  }

  /** Halves what is refused until single rows are left: about two tries for each halving and bad row, none stored. */
  const refused = async (rows: readonly (readonly Buffer[])[], first = 0): Promise<ReadonlyMap<number, string>> => {
    try {
      await put('events_check', rows.flat(), {})
      return new Map()
    } catch (error) {
      if (!blamesARow(error)) throw error
      if (rows.length === 1) return new Map([[first, textOf(error).split('\n')[0]!.slice(0, 300)]])
      const middle = rows.length >> 1
      const left = await refused(rows.slice(0, middle), first)
      return new Map([...left, ...(await refused(rows.slice(middle), first + middle))])
    }
  }

  return {
    insert: (lines, token) =>
      put('events', lines, {
        insert_deduplication_token: token,
        deduplicate_blocks_in_dependent_materialized_views: 1,
      }),
    refused: rows => refused(rows),

    async lastHeard(at, lives, before) {
      const found = new Map<string, number>()
      // Who spoke lately is found among the last rows; only for the rest is it worth reading further back.
      for (const depth of [100_000, 10_000_000, Number.POSITIVE_INFINITY]) {
        const missing = [...lives].filter(([life]) => !found.has(life))
        if (missing.length === 0 || before <= 0) break
        const floor = Math.max(0, before - depth)
        const rows = await ask<{ life: string; last: number }>(lastHeardQuery, {
          ...at,
          lives: missing.map(([life]) => life),
          producers: [...new Set(missing.map(([, { telling }]) => telling.origin?.producer ?? ''))],
          floor,
          before,
          since: new Date(Math.min(...missing.map(([, since]) => beginOf(since))))
            .toISOString()
            .slice(0, 19)
            .replace('T', ' '),
        })
        for (const { life, last } of rows) found.set(life, last)
        if (floor === 0) break
      }
      return found
    },

    async highest(at) {
      const [row] = await ask<{ n: number; highest: number }>(
        'SELECT count() AS n, max(offset) AS highest FROM events WHERE topic = {topic:String} AND partition = {partition:UInt32}',
        { ...at },
      )
      return row === undefined || row.n === 0 ? null : row.highest
    },

    async present(at, from, to) {
      const rows = await ask<{ offset: number; id: string }>(
        `SELECT offset, event_id AS id FROM events WHERE topic = {topic:String} AND partition = {partition:UInt32}
         AND offset BETWEEN {from:UInt64} AND {to:UInt64}`,
        { ...at, from, to },
      )
      return new Map(rows.map(row => [row.offset, row.id]))
    },
  }
}

const lastHeardQuery = `SELECT concat(producer, '.', toString(epoch)) AS life, max(sequence) AS last FROM events
WHERE topic = {topic:String} AND partition = {partition:UInt32} AND producer IN {producers:Array(String)}
AND has({lives:Array(String)}, life) AND offset >= {floor:UInt64} AND offset < {before:UInt64}
AND ts >= toDateTime({since:String}, 'UTC')
GROUP BY producer, epoch`

const day = 86_400_000

/** Nothing of a life stands before its first event, give or take a clock that was put right. */
function beginOf({ telling, time }: Since): number {
  const isFirst = telling.origin !== null && telling.origin.sequence === 0
  return isFirst && time !== null ? Math.max(0, time - day) : 0
}
