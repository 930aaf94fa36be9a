import { header } from '../../../schemas/envelope.ts'
import { topics } from '../../../schemas/topics.ts'
import type { EventLog, LogRecord, Partition } from '../../io/log/port.ts'
import { type Check, differ, leave, placeOf } from './check.ts'
import { type Cells, cellsOf, differenceOf, halvesOf } from './columns.ts'
import { type Read, readOf, recordsOf, type Span } from './reading.ts'
import { type Block, blocksQuery, type Found, type Row, rowsQuery, type Stranger, strangersQuery } from './rows-sql.ts'

/** Asks ClickHouse; a row is what the query selects, numbers as numbers. Throws the Faults of whoever asks. */
export type Ask = <Row>(query: string) => Promise<readonly Row[]>

/**
 * Each record up to the cut is a row of `events`, once, and says the same.
 *
 * Both sides are added up in blocks of offsets first: how many, and the sum of their hashes. Only blocks that differ are
 * laid side by side.
 */
export type Rows = {
  /** The next records of a span, in their order, and those of them that tell something new; each of these is to be taken. */
  readonly pass: (span: Span, records: readonly LogRecord[], fresh: readonly LogRecord[]) => void
  readonly take: (span: Span, read: Read) => void
  /** Offsets at which no record was read, up to the span's end or below another offset. */
  readonly holes: (span: Span, below?: number) => readonly Hole[]
  /** Up to the spans' ends, which may be nearer than what was taken: as far as rows are stored. */
  readonly compare: (log: EventLog, ask: Ask, spans: readonly Span[]) => Promise<void>
}

/** Large enough to be few, small enough to be read again where one differs. */
const blockOffsets = 2_048
/** A client gives up after five minutes without an answer; hashing so many rows takes a loaded machine a tenth of that. */
const askedOffsets = 256 * blockOffsets
/** Blocks that are laid side by side. More of them have one cause, and reading them all again would take for ever. */
const blocksRead = 64
const dayMs = 86_400_000

export type Hole = { readonly from: number; readonly to: number }
type Side = {
  readonly blocks: Map<number, Block>
  /** Records that tell nothing new: the table does not have them. */
  readonly again: Set<number>
  readonly holes: Hole[]
  next: number | null
}

/** @param since Unix ms: what the table may have given up is not asked for */
export function openRows(check: Check, since: number): Rows {
  const sides = new Map<string, Side>()
  const sideOf = (at: Partition): Side => {
    const key = nameOf(at)
    const side = sides.get(key) ?? { blocks: new Map(), again: new Set(), holes: [], next: null }
    sides.set(key, side)
    return side
  }
  const isLost = (at: Partition, offset: number): boolean =>
    sideOf(at).holes.some(({ from, to }) => offset >= from && offset < to)

  return {
    holes(span, below = span.to) {
      const { holes, next } = sideOf(span)
      const rest = next ?? span.from
      const read = below < rest ? holes.filter(({ from }) => from < below) : holes
      return rest < below ? [...read, { from: rest, to: below }] : read
    },
    pass(span, records, fresh) {
      const side = sideOf(span)
      for (const { offset } of records) {
        const next = side.next ?? span.from
        if (offset > next) side.holes.push({ from: next, to: offset })
        side.next = offset + 1
      }
      if (fresh.length < records.length) {
        const told = new Set(fresh)
        for (const record of records) if (!told.has(record)) side.again.add(record.offset)
      }
    },
    take(span, { record, raw }) {
      if (since > 0 && timeOf(record) < since) return
      const { blocks } = sideOf(span)
      const [a, b] = halvesOf(cellsOf(raw) ?? [])
      const number = blockAt(record.offset)
      const block = blocks.get(number) ?? { n: 0, a: 0, b: 0 }
      block.n += 1
      block.a += a
      block.b += b
      blocks.set(number, block)
    },

    async compare(log, ask, spans) {
      // Whole blocks, where the sink is not at the end of what was taken.
      const written = spans
        .map(span => ({ ...span, to: span.to === sideOf(span).next ? span.to : firstOf(blockAt(span.to)) }))
        .filter(({ from, to }) => to > from)
      const found = new Map<string, Map<number, Block>>()
      for (const part of written.flatMap(partsOf))
        for (const row of await ask<Found>(blocksQuery(part, since, blockOffsets))) {
          const blocks = found.get(nameOf(part)) ?? new Map<number, Block>()
          found.set(nameOf(part), blocks.set(row.block, row))
        }
      let read = 0
      for (const span of written) {
        const side = sideOf(span)
        let gone = 0
        const stored = found.get(nameOf(span)) ?? new Map<number, Block>()
        for (const number of new Set([...side.blocks.keys(), ...stored.keys()])) {
          if (firstOf(number) >= span.to) continue
          const [ours, theirs] = [side.blocks.get(number) ?? none, stored.get(number) ?? none]
          check.compared += ours.n
          if (isEqual(ours, theirs)) continue
          const from = Math.max(span.from, firstOf(number))
          const to = Math.min(span.to, firstOf(number + 1))
          const block = { ...span, from, to }
          // Of rows whose records are gone nothing can be said, but of those between them.
          const left = await withRecords(ask, block, side)
          gone += theirs.n - left.n
          if (isEqual(ours, left)) continue
          if (read++ < blocksRead) await layOut(log, ask, block, side)
          else differ(check, `${nameOf(span)}@${from}–${to - 1}`, `${left.n} rows for ${ours.n} records, or other ones`)
        }
        if (gone > 0) leave(check, `${gone} rows of ${nameOf(span)}, for their records are ${goneHow(span)}`)
      }
      await strangers(log, ask, spans)
    },
  }

  /** The block without the rows at whose offsets no record was read. */
  async function withRecords(ask: Ask, span: Span, { holes }: Side): Promise<Block> {
    const within = holes.filter(({ from, to }) => to > span.from && from < span.to)
    const left = { n: 0, a: 0, b: 0 }
    for (const { block: offset, n, a, b } of await ask<Found>(blocksQuery(span, since, 1))) {
      if (within.some(({ from, to }) => offset >= from && offset < to)) continue
      left.n += n
      left.a += a
      left.b += b
    }
    return left
  }

  /** Rows of a topic, a partition or an offset that the log does not have, not even by now. */
  async function strangers(log: EventLog, ask: Ask, spans: readonly Span[]): Promise<void> {
    const ends = await Promise.all(spans.map(async span => ({ ...span, to: (await log.bounds(span)).end, from: 0 })))
    for (const row of await ask<Stranger>(strangersQuery(ends))) {
      const isOurs = spans.some(({ topic, partition }) => topic === row.topic && partition === row.partition)
      if (isOurs && row.offset < (await log.bounds(row)).end) continue
      differ(check, `${placeOf(row, row.offset)} (${row.event_id})`, 'a row of which the log has no record')
    }
  }

  /** Side by side: which row is missing, doubled, added, or says something else. */
  async function layOut(log: EventLog, ask: Ask, span: Span, side: Side): Promise<void> {
    const rows = Map.groupBy(await ask<Row>(rowsQuery(span, since)), row => row.offset)
    for await (const records of recordsOf(log, span))
      for (const record of records) {
        const { offset } = record
        if (side.again.has(offset) || timeOf(record) < since) continue
        const where = `${placeOf(span, offset)} (${record.headers[header.id] ?? 'no id'})`
        const stored = rows.get(offset) ?? []
        rows.delete(offset)
        const [first] = stored
        if (first === undefined) differ(check, where, 'missing in the table')
        else if (stored.length > 1) differ(check, where, `${stored.length} rows in the table`)
        else {
          const why = cellsDiffer(cellsOf(readOf(record).raw), first)
          if (why !== null) differ(check, where, why)
        }
      }
    for (const [offset, stored] of rows)
      if (!isLost(span, offset))
        differ(check, `${placeOf(span, offset)} (${stored[0]?.cells[0]})`, 'a row of which the log has no record')
  }
}

const blockAt = (offset: number): number => Math.floor(offset / blockOffsets)
const firstOf = (block: number): number => block * blockOffsets
const none: Block = { n: 0, a: 0, b: 0 }
const isEqual = (one: Block, other: Block): boolean => one.n === other.n && one.a === other.a && one.b === other.b

/** Compaction keeps what was said last of each key; anywhere else a record that is not there cannot be read. */
const goneHow = ({ topic }: Partition): string => (topic === topics.control.name ? 'given up by compaction' : 'damaged')

/** What the sink could not store stands in the dead letters, and as a row of its own kind. */
function cellsDiffer(logged: Cells | null, { type, cells }: Row): string | null {
  if (type === 'record.unreadable') return null
  return logged === null ? 'a row, but the record cannot be read' : differenceOf(logged, cells)
}

const timeOf = ({ headers }: LogRecord): number => {
  const time = Date.parse(headers[header.time] ?? '')
  return Number.isNaN(time) ? Number.POSITIVE_INFINITY : time
}

const nameOf = ({ topic, partition }: Partition): string => `${topic}/${partition}`

/** What is asked for at once is answered within seconds, however long the span is. */
function partsOf(span: Span): readonly Span[] {
  const parts: Span[] = []
  for (let from = span.from; from < span.to; ) {
    const to = Math.min(span.to, firstOf(blockAt(from + askedOffsets)))
    parts.push({ ...span, from, to })
    from = to
  }
  return parts
}

/** From when on the table has all rows, Unix ms: it gives up whole days. 0: for ever. */
export async function keptSince(ask: Ask, now: number): Promise<number> {
  const [row] = await ask<{ engine: string }>(
    "SELECT engine_full AS engine FROM system.tables WHERE database = currentDatabase() AND name = 'events'",
  )
  const days = /toIntervalDay\((\d+)\)/.exec(row?.engine ?? '')?.[1]
  return days === undefined ? 0 : Math.floor(now / dayMs - Number(days) + 1) * dayMs
}
