import { type Cells, cellsSql, halvesSql, hashedSql } from './columns.ts'
import type { Span } from './reading.ts'

/** What ClickHouse is asked about the rows of a span. `since`: Unix ms, what is older it may have given up. */

/** How many rows or records, and the two halves of the sum of their hashes. */
export type Block = { n: number; a: number; b: number }
export type Found = { readonly block: number } & Block
export type Stranger = {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly event_id: string
}
export type Row = { readonly offset: number; readonly type: string; readonly cells: Cells }

/** `size`: offsets of a block. */
export const blocksQuery = (span: Span, since: number, size: number): string =>
  `SELECT intDiv(offset, ${size}) AS block, count() AS n, ${halvesSql}
   FROM (SELECT offset, ${hashedSql} FROM events WHERE ${within(span)} AND ${young(since)})
   GROUP BY block`

export const rowsQuery = (span: Span, since: number): string =>
  `SELECT offset, type, ${cellsSql} AS cells FROM events WHERE ${within(span)} AND ${young(since)} ORDER BY offset`

export const strangersQuery = (ends: readonly Span[]): string =>
  `SELECT topic, partition, offset, event_id FROM events WHERE NOT (${ends.map(within).join(' OR ') || 'false'}) LIMIT 1000`

const within = ({ topic, partition, from, to }: Span): string =>
  `(topic = '${topic}' AND partition = ${partition} AND offset >= ${from} AND offset < ${to})`
const young = (since: number): string => `ts >= fromUnixTimestamp64Milli(${since})`
