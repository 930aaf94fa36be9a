import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Fault } from '../../services/io/fault.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { listSegments, segmentFile, watermarkFile } from '../../services/io/log/file/place.ts'
import { readWatermark } from '../../services/io/log/file/watermark.ts'
import { append, appendAll, message, Reading } from '../contract/event-log/probe.ts'
import { until } from '../support/until.ts'

const topic = 'recovery'
const at = { topic, partition: 0 }
let dir: string
let place: string
let faults: Fault[]

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-recovery-'))
  place = path.join(dir, topic, '0')
  faults = []
})
afterEach(() => fs.rmSync(dir, { recursive: true }))

const open = (options = {}) => openFileLog({ dir, onFault: fault => faults.push(fault), ...options })

async function write(from: number, to: number, options = {}): Promise<number[]> {
  const log = open(options)
  const writer = await log.writer(topic)
  const offsets: number[] = []
  for (let i = from; i < to; i++) offsets.push(await append(writer, message('k', `${i} ${'x'.repeat((i * 31) % 300)}`)))
  await log.close()
  return offsets
}

/** The numbers of the records that can be read, each at its offset. */
async function read(): Promise<{ readonly numbers: number[]; readonly offsets: number[] }> {
  const log = open()
  const reading = new Reading(log, topic, 'earliest')
  await reading.follower.caughtUp
  await log.close()
  return {
    numbers: reading.records.map(record => Number.parseInt(record.value.toString(), 10)),
    offsets: reading.records.map(record => record.offset),
  }
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const lastSegment = () => segmentFile(place, listSegments(place).at(-1)!)

/** As if the writer had died with this behind the mark: what is here was written, and not yet synced. */
async function writtenNotSynced(keep: number, then: () => Promise<unknown>): Promise<void> {
  await write(0, keep)
  const mark = fs.readFileSync(watermarkFile(place))
  await then()
  fs.writeFileSync(watermarkFile(place), mark)
}

describe('above the high-water mark', () => {
  test('whole records are kept, and become readable', async () => {
    await writtenNotSynced(10, () => write(10, 20))
    assert.deepEqual((await read()).numbers, range(0, 10))
    await write(20, 21)
    assert.deepEqual((await read()).numbers, range(0, 21))
    assert.deepEqual(faults, [])
  })

  test('a torn record is cut off wherever it is torn, and appending goes on in its place', async () => {
    await write(0, 20)
    const whole = fs.readFileSync(lastSegment())
    const mark = fs.readFileSync(watermarkFile(place))
    await write(20, 21)
    const longer = fs.readFileSync(lastSegment())
    for (let cut = whole.length + 1; cut < longer.length; cut += 1 + Math.floor((longer.length - whole.length) / 25)) {
      fs.writeFileSync(lastSegment(), longer.subarray(0, cut))
      fs.writeFileSync(watermarkFile(place), mark)
      assert.deepEqual(await write(20, 22), [20, 21])
      assert.deepEqual((await read()).numbers, range(0, 22))
    }
    assert.deepEqual(faults, [])
  })

  test('rubbish behind the last record is cut off', async () => {
    await write(0, 20)
    for (let round = 0, next = 20; round < 20; round++, next++) {
      const rubbish = [randomBytes(randomInt(1, 4_000)), Buffer.alloc(randomInt(1, 4_000)), Buffer.alloc(40, 0xff)]
      fs.appendFileSync(lastSegment(), rubbish[round % 3]!)
      assert.deepEqual(await write(next, next + 1), [next])
    }
    assert.deepEqual((await read()).numbers, range(0, 40))
    assert.deepEqual(faults, [])
  })

  test('a flipped bit in the last record cuts it off', async () => {
    await write(0, 20)
    for (let round = 0; round < 30; round++) {
      const mark = readWatermark(place)!
      const markBytes = fs.readFileSync(watermarkFile(place))
      await write(20, 21)
      const bytes = fs.readFileSync(lastSegment())
      const bit = randomInt(mark.bytes * 8, bytes.length * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      fs.writeFileSync(lastSegment(), bytes)
      fs.writeFileSync(watermarkFile(place), markBytes)
      assert.deepEqual(await write(20, 20), [])
      assert.equal(readWatermark(place)!.end, 20)
      assert.deepEqual((await read()).numbers, range(0, 20))
    }
    assert.deepEqual(faults, [])
  })

  test('a tear in a segment that is not the last loses only what came behind it, and deletes nothing', async () => {
    await writtenNotSynced(10, () => write(10, 100, { segmentBytes: 2_000 }))
    const bases = listSegments(place)
    assert.ok(bases.length > 4)
    const torn = segmentFile(place, bases[2]!)
    fs.truncateSync(torn, fs.statSync(torn).size - 5)
    const [next] = await write(500, 501)
    assert.ok(next! > bases[2]! && next! < bases[3]!)
    assert.deepEqual((await read()).numbers, [...range(0, next!), 500])
    assert.equal(fs.readdirSync(place).filter(name => name.endsWith('.cut')).length, bases.length - 3)
  })
})

describe('below the high-water mark', () => {
  test('confirmed records that are gone are told, and their offsets are not given again', async () => {
    await write(0, 50)
    fs.truncateSync(lastSegment(), 1_000)
    const offsets = await write(100, 103)
    assert.deepEqual(offsets, [50, 51, 52])
    assert.deepEqual(
      faults.map(fault => fault.code),
      ['log_damaged'],
    )
    const { numbers } = await read()
    assert.deepEqual(numbers.slice(-3), [100, 101, 102])
    assert.deepEqual(numbers.slice(0, -3), range(0, numbers.length - 3))
    assert.ok(numbers.length > 5)
  })

  test('a segment that is gone is told', async () => {
    await write(0, 50)
    fs.rmSync(lastSegment())
    assert.deepEqual(await write(100, 101), [50])
    assert.deepEqual(
      faults.map(fault => fault.code),
      ['log_damaged'],
    )
    assert.deepEqual((await read()).numbers, [100])
  })

  test('a reader passes over damaged bytes, says where they are, and misses no other record', async () => {
    await write(0, 400, { segmentBytes: 16_384 })
    const clean = listSegments(place).map(base => fs.readFileSync(segmentFile(place, base)))
    for (let round = 0; round < 40; round++) {
      const which = randomInt(clean.length)
      const bytes = Buffer.from(clean[which]!)
      const from = randomInt(bytes.length)
      const damage = round % 2 === 0 ? 1 : randomInt(1, 1_000)
      for (let i = from; i < Math.min(bytes.length, from + damage); i++) bytes[i]! ^= randomInt(1, 256)
      fs.writeFileSync(segmentFile(place, listSegments(place)[which]!), bytes)
      faults = []
      const { numbers, offsets } = await read()
      assert.deepEqual(numbers, offsets)
      await until('the damage to be told', () => faults.length > 0, 5_000)
      assert.equal(faults[0]?.code, 'log_damaged')
      assert.match(String(faults[0]?.cause), /\.seg/)
      const missing = range(0, 400).filter(number => !numbers.includes(number))
      // Each record is at least 30 bytes and a half; the damage can touch that many and one more.
      assert.ok(missing.length >= 1 && missing.length <= damage / 40 + 2, `${missing.length} of ${damage} bytes`)
      fs.writeFileSync(segmentFile(place, listSegments(place)[which]!), clean[which]!)
    }
  })

  test('a lost high-water mark is found again', async () => {
    await write(0, 100, { segmentBytes: 2_000 })
    fs.rmSync(watermarkFile(place))
    assert.deepEqual(await write(100, 101), [100])
    assert.deepEqual((await read()).numbers, range(0, 101))
  })
})

test('after any crash of the machine, what a reader was shown is there and no offset names other bytes', async () => {
  // The disk keeps of the segment at least what was synced and any part of the rest; the mark may be older than both.
  await write(0, 30)
  const marks = [fs.readFileSync(watermarkFile(place))]
  const synced = [fs.statSync(lastSegment()).size]
  for (let i = 0; i < 8; i++) {
    await write(30 + i * 5, 35 + i * 5)
    marks.push(fs.readFileSync(watermarkFile(place)))
    synced.push(fs.statSync(lastSegment()).size)
  }
  const all = fs.readFileSync(lastSegment())
  for (let round = 0; round < 40; round++) {
    const shown = randomInt(marks.length)
    const stale = randomInt(shown + 1)
    const kept = randomInt(synced[shown]!, all.length + 1)
    const disk = Buffer.from(all.subarray(0, kept))
    // Pages behind the synced part may not have been written, in any order.
    if (kept > synced[shown]! && round % 2 === 0) disk.fill(0, randomInt(synced[shown]!, kept), kept)
    fs.writeFileSync(lastSegment(), disk)
    fs.writeFileSync(watermarkFile(place), marks[stale]!)
    const [next] = await write(1_000, 1_001)
    const { numbers } = await read()
    assert.ok(next! >= 30 + shown * 5, `${next} after ${30 + shown * 5} were shown`)
    assert.deepEqual(numbers, [...range(0, next!), 1_000])
    assert.deepEqual(faults, [])
  }
  const log = open()
  const writer = await log.writer(topic)
  await appendAll(writer, [message('k', '2000')])
  assert.equal((await log.bounds(at)).earliest, 0)
  await log.close()
})
