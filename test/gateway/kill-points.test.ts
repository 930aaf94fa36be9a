import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { MoneyDecision } from '../../schemas/control.ts'
import { type Continued, decode, encodeFact, type Fact, type Message } from '../../schemas/events.ts'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { decodeLedger, encodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { foldLedger } from '../../services/core/money/booking.ts'
import { openBooks } from '../../services/core/money/books.ts'
import { usualSettings } from '../../services/core/money/purse.ts'
import { openQueued } from '../../services/gateway/memory/queued.ts'
import { crashed, takeOver } from '../../services/gateway/memory/recover.ts'
import { openReports } from '../../services/gateway/memory/reports.ts'
import { closeFormer } from '../../services/gateway/money/last-words.ts'
import { openTill } from '../../services/gateway/money/till.ts'
import { openRecorder } from '../../services/gateway/recorder.ts'
import { openRuns } from '../../services/gateway/runs/runs.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog, LogRecord, Writer } from '../../services/io/log/port.ts'
import { until } from '../support/until.ts'

/** What a turn of the event loop wrote to either log. A life may end between any two of these records. */
type Turn = { readonly events: Message[]; readonly ledger: Message[] }

const gateway = 'gateway-a'
/** The first is spent by birth: nothing is asked for there. */
const nodes = ['run:r/life', 'agent:a/life', 'org/life']
/** What each call costs; the last one more than was held for it. */
const [holdNanoUsd, costs] = [1_000, [1, 20, 300, 4, 50, 1_600]]

test('wherever a gateway dies, and again while it starts, each call is spent once: on the ledger as in its row', async t => {
  const turns = await life()
  const cuts = turns.flatMap((turn, i) => {
    const before = (of: keyof Turn) => turns.slice(0, i).flatMap(one => one[of])
    const parts = (of: keyof Turn) => [...turn[of].keys(), turn[of].length].map(end => turn[of].slice(0, end))
    return parts('events').flatMap(events =>
      parts('ledger').map(ledger => ({
        events: [...before('events'), ...events],
        ledger: [...before('ledger'), ...ledger],
      })),
    )
  })
  t.diagnostic(`${turns.length} turns of writing, ${cuts.length} places to die at`)
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-kill-points-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  let calls = 0
  for (const [i, cut] of cuts.entries()) {
    const disk = await openDisk(path.join(dir, String(i)))
    await disk.write('events', cut.events)
    await disk.write('ledger', cut.ledger)
    // The next lives die, too: one before it has said a last word, one after the first of them.
    for (const words of [0, 1, Number.POSITIVE_INFINITY]) await start(disk, words)
    calls += await compare(disk.log, `died at place ${i}`)
    await disk.log.close()
  }
  assert.ok(calls > cuts.length, 'there were calls')
})

/** One life that lets calls through, several at a time, and settles them; nothing but money passes here. */
async function life(): Promise<readonly Turn[]> {
  const turns: Turn[] = []
  const dones: (() => void)[] = []
  const writerOf = (of: keyof Turn): Writer => {
    let offset = 0
    return {
      append(message, done) {
        if (dones.length === 0) {
          turns.push({ events: [], ledger: [] })
          setImmediate(() => {
            for (const tell of dones.splice(0)) tell()
          })
        }
        turns.at(-1)?.[of].push(message)
        const mine = offset++
        dones.push(() => done?.(null, mine))
      },
      flush: async () => {},
      backlog: () => ({ records: 0, ageMs: 0 }),
      close: async () => {},
    }
  }
  const [producer, epoch] = [gateway, 1]
  const events = openRecorder<Fact | Continued>({
    writer: writerOf('events'),
    life: { producer, epoch },
    encode: encodeFact,
  })
  let spent = 0
  const ledger = openRecorder<LedgerMessage>({
    writer: writerOf('ledger'),
    life: { producer: 'ledger-a', epoch },
    encode: encodeLedger,
    said(_, message) {
      const answer = answerTo(message)
      if (answer !== null) setImmediate(() => till.hear([answer]))
      if ('reports' in message) spent = message.reports[0]?.spent_nano_usd ?? 0
    },
  })
  const till = openTill({
    life: { gateway, epoch },
    recorder: ledger,
    partitions: [0],
    keyOf: () => 'org',
    settings: usualSettings,
    owed: new Map(),
    eventsEnd: 0,
    nextLife: () => ({ gateway, epoch: 2 }),
  })
  const reported = (calls: number) => until('a report', () => spent === sum(costs.slice(0, calls)))
  const call = async (i: number, ready?: Promise<unknown>): Promise<void> => {
    const costNanoUsd = costs[i] ?? 0
    const request_id = `req-${i}`
    const base = {
      agent: 'a',
      run_id: 'r',
      root_run_id: 'r',
      request_id,
      operation: 'chat',
      protocol: 'openai',
    } as const
    const taken = await till.admit(request_id, nodes.map(tollAt))
    assert.equal(taken.verdict, 'admit')
    const data = { nodes, epoch: taken.epoch }
    await events.try({ type: 'admission.granted', ...base, bound_nano_usd: holdNanoUsd, data }, 'r')
    if (taken.written !== null) assert.ok(await taken.written)
    await ready
    // Calls end out of their order, some in one turn.
    for (let turn = 0; turn < (i * 3) % 4; turn++) await new Promise(setImmediate)
    const end = { type: 'llm.completed', ...base, outcome: 'success', cost_nano_usd: costNanoUsd } as const
    await new Promise<void>(resolve =>
      events.tell(end, 'r', offset => {
        till.settle(request_id, costNanoUsd, offset)
        resolve()
      }),
    )
  }
  try {
    till.hear([{ type: 'ledger.owned', ...owner }])
    // The third ends when those before it have been told of: its end is the next event.
    await Promise.all([call(0), call(1), call(2, reported(2))])
    await reported(3)
    await Promise.all([call(3), call(4), call(5)])
    await reported(6)
  } finally {
    await till.close()
  }
  return turns
}

const tollAt = (node: string) => ({
  node,
  scope: node,
  partition: 0,
  limitNanoUsd: 1_000_000,
  opensAt: 0,
  closesAt: null,
  holdNanoUsd,
  ...(node.startsWith('run:') ? { mintedBy: { gateway, epoch: 1 }, isNew: true } : {}),
})

const owner = { partition: 0, owner: 'o', owner_epoch: 1, ledger_offsets: {} }

/** It grants whatever is wished. */
function answerTo(message: LedgerMessage): MoneyDecision | null {
  if (message.type === 'gateway.heartbeat') return { ...message, ...owner, type: 'gateway.heard' }
  if (message.type !== 'lease.requested') return null
  const { gateway, epoch, node, ask, wants_nano_usd: granted_nano_usd } = message
  return { type: 'lease.granted', ...owner, gateway, epoch, node, ask, granted_nano_usd }
}

/** The start of a next life, as far as money goes; it dies after so many last words. */
async function start({ log, write }: Disk, words: number): Promise<void> {
  const { orphans, calls } = await takeOver(log, { topic: topics.events.name, partition: 0 }, memory, 0)
  const envelope = (i: number) => ({ id: `${gateway}.2.${i}`, source: '', time: 0 })
  const ends = orphans.map((orphan, i) => encodeFact(envelope(i), crashed(orphan, 0), 'r'))
  await write('events', ends)
  const last = (await closeFormer(log, 0, gateway, calls)).slice(0, words)
  const said = last.map(({ report, ...life }, i) =>
    encodeLedger(envelope(i), { type: 'lease.returned', ...life, reports: [report] }, 'org'),
  )
  await write('ledger', said)
}

/** What is known of runs is not looked at here. */
const memory = {
  runs: openRuns({ mint: () => 'run', idleMs: () => 60_000 }),
  queued: openQueued(),
  reports: openReports(),
  asked: () => {},
}

/** Gives how many calls were let through. */
async function compare(log: EventLog, when: string): Promise<number> {
  const [begun, ended] = [new Set<string>(), new Map<string, number>()]
  for (const record of await recordsOf(log, topics.events.name)) {
    const read = decode(record)
    assert.ok('event' in read)
    const { event } = read
    if (event.type === 'admission.granted') begun.add(event.request_id ?? '')
    if (event.type !== 'llm.completed') continue
    assert.ok(!ended.has(event.request_id ?? ''), `${when}: ${event.request_id} ended twice`)
    const cost = event.cost_nano_usd ?? 0
    assert.ok(cost === holdNanoUsd || cost === costs[Number(event.request_id?.slice(4))], `${when}: ${cost}`)
    ended.set(event.request_id ?? '', cost)
  }
  assert.deepEqual(new Set(ended.keys()), begun, when)
  const books = openBooks(0)
  for (const record of await recordsOf(log, topics.ledger.name)) {
    const message = decodeLedger(record)
    if (message !== null) foldLedger(books, message, { partition: 0, offset: record.offset })
  }
  for (const node of nodes) {
    const { spent = 0, presumed = 0, leased = 0 } = books.nodes.get(node) ?? {}
    assert.deepEqual([spent, presumed, leased], [sum([...ended.values()]), 0, 0], `${when}: ${node}`)
  }
  return begun.size
}

type Disk = {
  readonly log: EventLog
  readonly write: (of: keyof Turn, messages: readonly Message[]) => Promise<void>
}

async function openDisk(dir: string): Promise<Disk> {
  const log = openFileLog({ dir })
  await log.ensure([topics.events, topics.ledger])
  const writers = { events: await log.writer(topics.events.name), ledger: await log.writer(topics.ledger.name) }
  return {
    log,
    async write(of, messages) {
      for (const message of messages) writers[of].append(message)
      await writers[of].flush()
    },
  }
}

async function recordsOf(log: EventLog, topic: string): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = []
  const follower = log.follow(topic, { from: 'earliest', onBatch: batch => void records.push(...batch.records) })
  await follower.caughtUp
  await follower.close()
  return records
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0)
