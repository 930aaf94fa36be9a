import { setTimeout as sleep } from 'node:timers/promises'
import type { Breakers } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { topics } from '../../../schemas/topics.ts'
import type { EventLog, LogRecord, Partition } from '../../io/log/port.ts'
import { openCalls } from './calls.ts'
import { type Check, differ, leave, openCheck } from './check.ts'
import { type Drawer, openDrawer } from './drawer.ts'
import type { Kept } from './kept.ts'
import { openLedger } from './ledger.ts'
import { type Hearing, openCursor, openHearing, type Read, readOf, recordsOf, type Span, spansOf } from './reading.ts'
import { type Ask, keptSince, openRows, type Rows } from './rows.ts'
import { openSignals } from './signals.ts'
import { compareViews } from './views.ts'

/**
 * The books, proved: the log is folded again and held against the ledger, the decisions on control and ClickHouse, beside
 * whatever is running. A cut is taken first, the end of each partition; what came behind it is nobody's business here.
 */
export type VerifyOptions = {
  readonly log: EventLog
  /** Null where no warehouse answers; `why` tells what was not compared. */
  readonly warehouse: { readonly ask: Ask } | { readonly why: string } | null
  /** Under which the sink keeps its marks. */
  readonly sinkGroup: string
  /** One where the ledger is embedded, else one for each of its partitions. */
  readonly owners: number
  /** Roles are running: what is on its way is waited for. */
  readonly live: boolean
  /** A file log, where every offset of a topic that is not compacted is a record. */
  readonly dense: boolean
  readonly policies: ReadonlyMap<string, Breakers>
  /** What enforcers of this machine keep on its disk, by owner; read before this begins. */
  readonly kept: ReadonlyMap<number, Kept>
  /** Damage that the log met so far: `where` is a file and a place in it. */
  readonly damage: () => readonly string[]
  readonly now?: () => number
}

const limits = {
  /** The ledger may be ahead of the events by what two forwarders are apart. */
  settleMs: 1_000,
  /** A sink stores within a second; one that was killed is back within ten. */
  sinkMs: 30_000,
  /** A forwarder ships within milliseconds; that of a gateway that was killed, when it is back. */
  shippedMs: 15_000,
  lookMs: 100,
  /** An enforcer decides within milliseconds; one that was killed is back within ten seconds. */
  decideMs: 15_000,
}

export async function verify(options: VerifyOptions): Promise<readonly Check[]> {
  const drawer = openDrawer()
  try {
    return await compared(options, drawer)
  } finally {
    drawer.close()
  }
}

async function compared(options: VerifyOptions, drawer: Drawer): Promise<readonly Check[]> {
  const { log, warehouse, live, policies } = options
  const now = options.now ?? Date.now
  const checks = {
    log: openCheck('the log itself', 'records'),
    rows: openCheck('log ↔ ClickHouse', 'records'),
    views: openCheck('ClickHouse: rows ↔ sums', 'sums'),
    calls: openCheck('events ↔ ledger', 'calls and caps'),
    ledger: openCheck('ledger ↔ control', 'decisions'),
    kept: openCheck('log ↔ what the enforcer keeps', 'caps'),
    signals: openCheck('control ↔ events', 'stops and acts'),
  }
  // In this order: what control knew of the ledger stands on it, and what the ledger counts stands in the events.
  const control = await spansOf(log, topics.control.name)
  const ledger = await spansOf(log, topics.ledger.name)
  const alerts = await spansOf(log, topics.alerts.name)
  const cutAt = now()
  if (live) await sleep(limits.settleMs)
  const events = await spansOf(log, topics.events.name)
  const spans = [...events, ...ledger, ...control, ...alerts]

  const asking = warehouse !== null && 'ask' in warehouse ? warehouse.ask : null
  const since = asking === null ? 0 : await keptSince(asking, now())
  const rows = openRows(checks.rows, since)
  const signals = openSignals(checks.signals, policies)
  const written = events.filter(({ from, to }) => to > from)
  const calls = openCalls(checks.calls, {
    ordered: written.length <= 1,
    heardUntil: gateway => folded.heardUntil(gateway) ?? cutAt,
    drawer,
  })
  const hearing = openHearing()
  const counted = count(checks.log, rows, hearing)

  const cursors = new Map(ledger.map(span => [span.partition, { cursor: openCursor(log, span), to: span.to }]))
  const folded = openLedger({
    check: checks.ledger,
    owners: options.owners,
    cursors,
    isWhole: ledger.every(({ from }) => from === 0),
    kept: keptWithin(options.kept, ledger),
    checkKept: checks.kept,
    isCompacted: below => control.some(span => rows.holes(span, below).length > 0),
    drawer,
    seen: (partition, record) => {
      const span = ledger.find(one => one.partition === partition)
      if (span !== undefined) counted(span, [record])
    },
  })
  for (const span of control)
    for await (const records of recordsOf(log, span)) {
      counted(span, records)
      for (const record of records) {
        signals.decided(record)
        await folded.decided(record)
      }
    }
  await folded.finish()
  for (const { cursor } of cursors.values()) await cursor.close()
  let begins = folded.begins()
  for (const span of written) {
    let first = true
    for await (const records of recordsOf(log, span))
      counted(span, records, read => {
        const event = eventIn(read)
        if (event === null) return
        if (first && span.from > 0) begins = Math.max(begins, event.time)
        first = false
        calls.take(event)
        signals.happened(event, span.partition)
      })
  }
  for (const span of alerts) for await (const records of recordsOf(log, span)) counted(span, records)

  if (live)
    await readOn(
      log,
      written,
      hearing,
      event => calls.take(event),
      () => calls.isBehind(folded.caps),
    )
  calls.compare(folded.caps, { since: begins })
  signals.compare({
    settledBefore: live ? cutAt - limits.decideMs : cutAt - (limits.decideMs >> 1),
    partitions: written.length,
    isWhole: written.every(({ from }) => from === 0),
    isCompacted: control.some(span => rows.holes(span).length > 0),
  })
  for (const where of options.damage()) differ(checks.log, where, 'damaged')
  if (options.dense)
    for (const span of spans.filter(({ topic }) => topic !== topics.control.name))
      for (const { from, to } of rows.holes(span)) differ(checks.log, holeIn(span, from, to), 'cannot be read')
  if (asking === null) {
    if (warehouse !== null && 'why' in warehouse)
      for (const check of [checks.rows, checks.views]) leave(check, warehouse.why, true)
  } else {
    const there = await reached(options, spans)
    if (there.behind > 0) leave(checks.rows, `${there.behind} records that the sink has not stored yet`, true)
    await rows.compare(log, asking, there.spans)
    await compareViews(checks.views, asking, since, () => sleep(live ? limits.settleMs : 0))
  }
  const { rows: ofRows, views: ofViews, log: ofLog, kept: ofKept, ...others } = checks
  const ifAny = ofKept.compared > 0 ? [ofKept] : []
  return [ofLog, ...(warehouse === null ? [] : [ofRows, ofViews]), ...Object.values(others), ...ifAny]
}

/** Those that go on where the ledger still is. */
const keptWithin = (kept: VerifyOptions['kept'], ledger: readonly Span[]): VerifyOptions['kept'] =>
  new Map(
    [...kept].filter(([, one]) => ledger.every(({ partition, from }) => (one.head.ledgerNext[partition] ?? 0) >= from)),
  )

const holeIn = ({ topic, partition }: Partition, from: number, to: number): string =>
  `${topic}/${partition}@${from}${to - from > 1 ? `–${to - 1}` : ''}`

const count =
  (check: Check, rows: Rows, hearing: Hearing) =>
  (span: Span, records: readonly LogRecord[], look: (read: Read) => void = () => {}): void => {
    check.compared += records.length
    const fresh = hearing(span, records)
    rows.pass(span, records, fresh)
    for (const record of fresh) {
      // One by one: a batch of parsed records is long-lived to whoever collects garbage.
      const read = readOf(record)
      rows.take(span, read)
      look(read)
    }
  }

/** Goes on reading the events behind the cut as long as more of them are needed, for a while. */
async function readOn(
  log: EventLog,
  spans: readonly Span[],
  hearing: Hearing,
  take: (event: Event) => void,
  isNeeded: () => boolean,
): Promise<void> {
  const deadline = performance.now() + limits.shippedMs
  let ends = new Map(spans.map(({ partition, to }) => [partition, to]))
  while (isNeeded() && performance.now() < deadline) {
    await sleep(limits.lookMs)
    const more = await spansOf(log, topics.events.name)
    for (const span of more)
      for await (const records of recordsOf(log, { ...span, from: ends.get(span.partition) ?? span.from }))
        for (const record of hearing(span, records)) {
          const event = eventIn(readOf(record))
          if (event !== null) take(event)
        }
    ends = new Map(more.map(({ partition, to }) => [partition, to]))
  }
}

/** Waits until the sink has come as far as the cut; else how far it has come, and what is missing. */
async function reached({ log, sinkGroup }: VerifyOptions, spans: readonly Span[]) {
  const deadline = performance.now() + limits.sinkMs
  for (;;) {
    const found = await Promise.all(
      spans.map(async span => ({ ...span, mark: (await log.committed(sinkGroup, span))?.offset ?? 0 })),
    )
    const behind = found.reduce((sum, { from, to, mark }) => sum + Math.max(0, to - Math.max(from, mark)), 0)
    if (behind === 0 || performance.now() > deadline)
      return { behind, spans: found.map(({ mark, ...span }) => ({ ...span, to: Math.min(span.to, mark) })) }
    await sleep(limits.lookMs)
  }
}

/** Events were written from checked types: they are not checked again. */
const eventIn = ({ raw }: Read): Event | null => raw as Event | null
