import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { TopicSpec } from '../../schemas/topics.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { listSegments, segmentFile } from '../../services/io/log/file/place.ts'
import type { EventLog, LogRecord, Writer } from '../../services/io/log/port.ts'
import { append, message, Reading } from '../contract/event-log/probe.ts'

const spec: TopicSpec = {
  name: 'compacted',
  partitions: 1,
  cleanup: 'compact',
  retentionMs: -1,
  key: 'a name',
  holds: 'the last word on each name',
}
const segmentBytes = 20_000
let dir: string
let place: string
let log: EventLog

beforeEach(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-compaction-'))
  place = path.join(dir, spec.name, '0')
  log = open()
  await log.ensure([spec])
})
afterEach(async () => {
  await log.close()
  fs.rmSync(dir, { recursive: true })
})

const open = () =>
  openFileLog({
    dir,
    segmentBytes,
    onFault: fault => {
      throw fault
    },
  })
// Segments may go between the listing and the look.
const sizeOf = (base: number) => fs.statSync(segmentFile(place, base), { throwIfNoEntry: false })?.size ?? 0
const bytesOf = () => listSegments(place).reduce((sum, base) => sum + sizeOf(base), 0)

/** Looks again each turn of the event loop until it is so, or the deadline. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `it never came to that: ${what}`)
    await new Promise(setImmediate)
  }
}

async function readAll(): Promise<LogRecord[]> {
  const reading = new Reading(log, spec.name, 'earliest')
  await reading.follower.caughtUp
  await reading.end()
  return reading.records
}

const state = (records: readonly LogRecord[]): Record<string, string> => {
  const words: Record<string, string> = {}
  for (const { key, value } of records) {
    if (value.length === 0) delete words[key!]
    else words[key!] = value.toString()
  }
  return words
}

async function say(writer: Writer, rounds: number, names: number, from = 0): Promise<Record<string, string>> {
  const words: Record<string, string> = {}
  for (let round = from; round < from + rounds; round++) {
    for (let name = 0; name < names; name++) {
      const gone = name % 5 === 4 && round % 2 === 1
      const text = gone ? '' : `${round} of ${name}`.padEnd(200)
      await append(writer, message(`name-${name}`, text))
      if (gone) delete words[`name-${name}`]
      else words[`name-${name}`] = text
    }
  }
  await writer.flush()
  return words
}

test('old words of a key go, the last one of each stays at its offset, and the state is the same', async () => {
  const writer = await log.writer(spec.name)
  const words = await say(writer, 40, 20)
  await until('most of it is gone', () => bytesOf() < 3 * segmentBytes)
  const records = await readAll()
  assert.ok(records.length < 300)
  assert.deepEqual(state(records), words)
  for (const [i, record] of records.entries()) {
    const [round, name] = [Math.floor(record.offset / 20), record.offset % 20]
    assert.equal(record.key, `name-${name}`)
    if (record.value.length > 0) assert.ok(record.value.toString().startsWith(`${round} of ${name} `))
    assert.ok(i === 0 || record.offset > records[i - 1]!.offset)
  }
  assert.equal((await log.bounds({ topic: spec.name, partition: 0 })).end, 800)
})

test('readers under way, fast and slow, end with the same state', async () => {
  const writer = await log.writer(spec.name)
  const slowRecords: LogRecord[] = []
  const slow = log.follow(spec.name, {
    from: 'earliest',
    onBatch: async batch => {
      slowRecords.push(...batch.records)
      for (let i = 0; i < 200; i++) await new Promise(setImmediate)
    },
  })
  const fast = new Reading(log, spec.name, 'earliest')
  const words = await say(writer, 60, 20)
  await until('both have come to the end', () =>
    [slowRecords, fast.records].every(records => records.at(-1)?.offset === 1_199),
  )
  await slow.close()
  await fast.end()
  assert.deepEqual(state(slowRecords), words)
  assert.deepEqual(state(fast.records), words)
  for (const records of [slowRecords, fast.records]) {
    for (let i = 1; i < records.length; i++) assert.ok(records[i]!.offset > records[i - 1]!.offset)
  }
})

test('a compaction that was killed between any two of its steps leaves the same state', async () => {
  const writer = await log.writer(spec.name)
  const words = await say(writer, 30, 20)
  await writer.close()
  // What a merge leaves when the process dies before it deleted what was merged: everything in the first file, and the
  // others still there; and a half-written file.
  const [first, ...others] = listSegments(place)
  const closed = others.slice(0, -1)
  const merged = Buffer.concat([first!, ...closed].map(base => fs.readFileSync(segmentFile(place, base))))
  fs.writeFileSync(segmentFile(place, first!), merged)
  fs.writeFileSync(`${segmentFile(place, first!)}.tmp`, merged.subarray(0, 1_000))
  assert.deepEqual(state(await readAll()), words)
  const offsets = (await readAll()).map(record => record.offset)
  assert.equal(new Set(offsets).size, offsets.length)
  const again = await log.writer(spec.name)
  assert.ok(!fs.readdirSync(place).some(name => name.endsWith('.tmp')))
  Object.assign(words, await say(again, 30, 20, 30))
  for (const [key, value] of Object.entries(state(await readAll()))) assert.equal(words[key], value)
  await until('it was compacted', () => bytesOf() < 3 * segmentBytes)
  const after = await readAll()
  assert.equal(new Set(after.map(record => record.offset)).size, after.length)
})

test('a tombstone outlives what it buried, and goes when every reader had a day to see it', async t => {
  const writer = await log.writer(spec.name)
  await append(writer, message('gone', 'a word'))
  await append(writer, message('gone', ''))
  await say(writer, 20, 19)
  await until('the word is gone', async () => !(await readAll()).some(record => record.value.toString() === 'a word'))
  assert.ok((await readAll()).some(record => record.key === 'gone' && record.value.length === 0))
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 2 * 86_400_000 })
  await say(writer, 20, 19, 20)
  await until('the tombstone is gone', async () => !(await readAll()).some(record => record.key === 'gone'))
})

test('records without a key are kept', async () => {
  const writer = await log.writer(spec.name)
  for (let i = 0; i < 5; i++) await append(writer, message(null, `keyless ${i}`))
  await say(writer, 20, 20)
  await until('it was compacted', () => bytesOf() < 3 * segmentBytes)
  const keyless = (await readAll()).filter(record => record.key === null)
  assert.equal(keyless.length, 5)
})
