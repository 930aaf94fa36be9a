import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { Fault } from '../../services/io/fault.ts'
import { type FileLogOptions, openFileLog } from '../../services/io/log/file/file.ts'
import { listSegments, segmentFile } from '../../services/io/log/file/place.ts'
import type { EventLog, Writer } from '../../services/io/log/port.ts'
import { append, appendAll, freshTopic, message, Reading } from '../contract/event-log/probe.ts'

const topic = 'files'
const at = { topic, partition: 0 }
let dir: string
let faults: Fault[]
const logs: EventLog[] = []

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-files-'))
  faults = []
})
afterEach(async () => {
  await Promise.all(logs.splice(0).map(log => log.close()))
  fs.rmSync(dir, { recursive: true })
})

function open(options: Partial<FileLogOptions> = {}): EventLog {
  const log = openFileLog({ dir, onFault: fault => faults.push(fault), ...options })
  logs.push(log)
  return log
}

/** Looks again each turn of the event loop until it is so, or the deadline. */
async function until<T>(look: () => T | Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const seen = await look()
    if (holds(seen)) return seen
    assert.ok(performance.now() < deadline, 'it never came to that')
    await new Promise(setImmediate)
  }
}

const tryAppend = (writer: Writer, text: string): Promise<Fault | null> =>
  append(writer, message('k', text)).then(
    () => null,
    fault => fault,
  )

test('what is kept for a while never takes the room of what is still to come', async () => {
  const log = open({ maxBytes: 40_000, retentionMs: 3_600_000, waitFor: ['shipper'] })
  const writer = await log.writer(topic)
  await log.commit('memory', at, { offset: 0 })
  const fill = async (records: number): Promise<void> => {
    for (let i = 0; i < records; i++)
      await until(
        () => tryAppend(writer, 'x'.repeat(500)), // the directory is smaller a moment before the writer counts it so
        fault => fault === null,
      )
    await writer.flush()
  }
  const place = path.join(dir, topic, '0')
  const bytes = () =>
    listSegments(place).reduce(
      (sum, base) => sum + (fs.statSync(segmentFile(place, base), { throwIfNoEntry: false })?.size ?? 0),
      0,
    )
  await fill(55)
  assert.equal((await log.bounds(at)).earliest, 0, 'nobody has shipped anything')
  // Five times the bound: whatever is shipped makes room for what comes next.
  for (let round = 0; round < 20; round++) {
    await log.commit('shipper', at, { offset: (await log.bounds(at)).end })
    await until(bytes, held => held < 30_000)
    await fill(15)
  }
  assert.ok(bytes() > 15_000, 'a part of what is young is kept')
  assert.deepEqual(faults, [])
})

test('at its bound it refuses, takes nothing of the refused, and goes on when there is room', async () => {
  const log = open({ maxBytes: 40_000, retentionMs: 0, waitFor: ['reader'] })
  const writer = await log.writer(topic)
  const after = 'after'.padEnd(500)
  const taken: string[] = []
  let refused: Fault | null = null
  for (let i = 0; refused === null; i++) {
    const text = `${i}`.padEnd(500)
    refused = await tryAppend(writer, text)
    if (refused === null) taken.push(text)
  }
  assert.deepEqual([refused.code, refused.retriable], ['log_unavailable', true])
  assert.ok(taken.length > 50 && taken.length < 80)
  await log.commit('reader', at, { offset: 40 })
  await until(
    () => tryAppend(writer, after),
    fault => fault === null,
  )
  const reading = new Reading(log, topic, 'earliest')
  await writer.flush()
  await until(
    () => reading.records.length,
    length => length > 0 && reading.records.at(-1)!.value.toString() === after,
  )
  const texts = await reading.end()
  assert.ok(reading.records[0]!.offset > 0)
  assert.deepEqual(texts, [...taken, after].slice(-texts.length))
  assert.deepEqual(faults, [])
})

test('a refusal lasts for the turn, so that trying again in order keeps the order', async () => {
  const log = open({ maxBytes: 40_000 })
  const writer = await log.writer(topic)
  const outcomes: (string | null)[] = []
  const sizes = [10_000, 10_000, 60_000, 10, 10]
  for (const size of sizes) {
    writer.append(message('k', 'x'.repeat(size)), fault => outcomes.push(fault === null ? null : fault.code))
  }
  await writer.flush()
  assert.deepEqual(outcomes, [null, null, 'log_unavailable', 'log_unavailable', 'log_unavailable'])
  assert.equal(await tryAppend(writer, 'small'), null)
  await writer.flush()
  assert.equal((await log.bounds(at)).end, 3)
})

test('a record that no log could hold is refused for good, and spoils nothing for others', async () => {
  const log = open()
  const writer = await log.writer(topic)
  const outcomes: unknown[] = []
  for (const size of [1, 17 * 1024 * 1024, 1]) {
    writer.append(message('k', Buffer.alloc(size)), fault => outcomes.push(fault && [fault.code, fault.retriable]))
  }
  await writer.flush()
  assert.deepEqual(outcomes, [null, ['log_refused', false], null])
  const largest = Buffer.alloc(15 * 1024 * 1024, 7)
  await append(writer, message('k', largest))
  const reading = new Reading(log, topic, 'earliest')
  await reading.count(3)
  await reading.end()
  assert.ok(reading.records[2]!.value.equals(largest))
})

test('a flood within one turn is written in parts and called back in order', async () => {
  const log = open({ segmentBytes: 1024 * 1024 })
  const writer = await log.writer(topic)
  const offsets: number[] = []
  for (let i = 0; i < 20_000; i++) {
    writer.append(message('k', 'x'.repeat(300)), (fault, offset) => {
      assert.equal(fault, null)
      offsets.push(offset)
    })
  }
  await writer.flush()
  assert.deepEqual(
    offsets,
    Array.from({ length: 20_000 }, (_, i) => i),
  )
})

test('a full disk refuses, leaves nothing half written, and is used again when there is space', async t => {
  const disk = path.join(dir, 'disk')
  fs.mkdirSync(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'ignore' })
  } catch {
    return t.skip('no file system can be mounted here')
  }
  try {
    const log = open({ dir: disk, segmentBytes: 300_000 })
    const writer = await log.writer(topic)
    const ballast = path.join(disk, 'ballast')
    const taken: string[] = []
    for (let round = 0; round < 3; round++) {
      fs.writeFileSync(ballast, Buffer.alloc(400_000 - round * 150_000))
      // In turns of several records, so that the disk is full in the midst of a write.
      const turn = async (name: string): Promise<Fault | null> => {
        const texts = [1_000, 4_000, 7_000].map((size, i) => `${name} ${i} `.padEnd(size))
        const outcomes = await Promise.all(texts.map(text => tryAppend(writer, text)))
        taken.push(...texts.filter((_, i) => outcomes[i] === null))
        assert.equal(new Set(outcomes).size, 1, 'a turn is taken as a whole or not at all')
        return outcomes[0]!
      }
      let refused: Fault | null = null
      for (let i = 0; refused === null; i++) refused = await turn(`${round} ${i}`)
      assert.deepEqual([refused.code, refused.retriable], ['log_unavailable', true])
      assert.match(refused.message, /full/)
      assert.equal((await turn('still full'))?.code, 'log_unavailable')
      fs.rmSync(ballast)
      assert.equal(await turn(`${round} again`), null)
      if (round < 2) await writer.flush()
    }
    await log.close()
    const again = open({ dir: disk })
    const reading = new Reading(again, topic, 'earliest')
    await reading.count(taken.length)
    assert.deepEqual(await reading.end(), taken)
    await again.close()
    assert.deepEqual(faults, [])
  } finally {
    await Promise.all(logs.splice(0).map(log => log.close()))
    execFileSync('umount', [disk])
  }
})

test('a disk that fails to sync ends the writer for good, and says so', async t => {
  if (!fs.existsSync('/proc/self/fd')) return t.skip('needs /proc to take a file from under the writer')
  for (const durability of ['os', 'fsync'] as const) {
    const log = open({ durability, dir: path.join(dir, durability) })
    const writer = await log.writer(topic)
    await append(writer, message('k', 'a'))
    await writer.flush()
    // In place of the segment the writer finds a device that takes bytes and cannot sync them.
    const fd = fs
      .readdirSync('/proc/self/fd')
      .map(Number)
      .find(one => fs.readlinkSync(`/proc/self/fd/${one}`).endsWith(`${durability}/${topic}/0/0000000000000000.seg`))!
    fs.closeSync(fd)
    assert.equal(fs.openSync('/dev/null', 'w'), fd)
    const outcome = await tryAppend(writer, 'b')
    assert.equal(outcome?.code ?? null, durability === 'fsync' ? 'log_broken' : null)
    await assert.rejects(writer.flush(), { code: 'log_broken', retriable: false })
    assert.equal((await tryAppend(writer, 'c'))?.code, 'log_broken')
    assert.deepEqual(
      faults.splice(0).map(fault => fault.code),
      ['log_broken'],
    )
    assert.equal((await log.bounds(at)).end, 1)
    await writer.close()
  }
})

test('a reader whose segment is deleted reads it to its end and goes on at the earliest', async () => {
  const log = open({ segmentBytes: 10_000, retentionMs: 0, waitFor: ['reader'] })
  const writer = await log.writer(topic)
  const gate = Promise.withResolvers<void>()
  const offsets: number[] = []
  const first = Promise.withResolvers<void>()
  const follower = log.follow(topic, {
    from: 'earliest',
    onBatch: async batch => {
      offsets.push(...batch.records.map(record => record.offset))
      first.resolve()
      await gate.promise
    },
  })
  await append(writer, message('k', 'x'.repeat(1_000)))
  await first.promise
  for (let i = 1; i < 100; i++) await append(writer, message('k', 'x'.repeat(1_000)))
  await writer.flush()
  await log.commit('reader', at, { offset: 95 })
  await append(writer, message('k', 'x'.repeat(9_000))) // closes a segment, which starts the trimming
  await until(
    () => log.bounds(at),
    bounds => bounds.earliest > 80,
  )
  gate.resolve()
  await until(
    () => offsets.at(-1),
    last => last === 100,
  )
  await follower.close()
  const jump = offsets.findIndex((offset, i) => i > 0 && offset !== offsets[i - 1]! + 1)
  assert.ok(offsets[jump - 1]! < 10 && offsets[jump]! > 80, `${offsets}`)
  assert.deepEqual(faults, [])
})

test('retention deletes closed segments that are old and that every known group has passed', async () => {
  const made = open({ segmentBytes: 5_000 })
  const { name } = await freshTopic(made, { retentionMs: 60_000 })
  const place = path.join(dir, name, '0')
  const here = { topic: name, partition: 0 }
  const writer = await made.writer(name)
  await appendAll(
    writer,
    Array.from({ length: 40 }, () => message('k', 'x'.repeat(900))),
  )
  for (let i = 0; i < 40; i++) await append(writer, message('k', 'x'.repeat(900)))
  await made.commit('slow', here, { offset: 50 })
  await made.commit('fast', here, { offset: 80 })
  await writer.close()
  const bases = listSegments(place)
  assert.ok(bases.length > 8)
  // An hour passes for the segments below 60.
  const old = bases.filter((_, i) => (bases[i + 1] ?? 100) <= 60)
  for (const base of old) {
    const past = new Date(Date.now() - 3_600_000)
    fs.utimesSync(path.join(place, `${base}`.padStart(16, '0').concat('.seg')), past, past)
  }
  await (await open({ segmentBytes: 5_000 }).writer(name)).close()
  const left = await until(
    () => listSegments(place),
    found => found.length < bases.length,
  )
  assert.equal(
    left[0],
    bases.findLast(base => base <= 50),
  )
  await made.commit('slow', here, { offset: 80 })
  await (await open({ segmentBytes: 5_000 }).writer(name)).close()
  await until(
    () => listSegments(place)[0]!,
    first => first === bases[old.length],
  )
})

test('what a callback appends while the writer closes is refused, and touches no file', async () => {
  const log = open()
  const writer = await log.writer(topic)
  const late = Promise.withResolvers<Fault | null>()
  writer.append(message('k', 'a'), () => writer.append(message('k', 'b'), late.resolve))
  await writer.close()
  assert.equal((await late.promise)?.code, 'log_closed')
  assert.equal((await log.bounds(at)).end, 1)
})

test('names that would climb out of the directory are refused', async () => {
  const log = open()
  for (const name of ['..', '../x', 'a/b', '', '.hidden', 'a\0b']) {
    await assert.rejects(log.writer(name), TypeError)
    await assert.rejects(log.commit(name, at, { offset: 0 }), TypeError)
  }
})

test('what a reader was shown is on disk: nothing comes before the sync', async () => {
  const log = open()
  const writer = await log.writer(topic)
  for (let i = 0; i < 200; i++) {
    const offset = await append(writer, message('k', `${i}`))
    const { end } = await log.bounds(at)
    assert.ok(end <= offset + 1)
    if (i % 20 === 0) {
      await writer.flush()
      assert.equal((await log.bounds(at)).end, offset + 1)
    }
  }
})
