import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { formatEventId, header, parseEventId } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { type Forwarder, forward, forwarderGroup } from '../../services/io/log/forward.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { appendAll, Condition, Reading } from '../contract/event-log/probe.ts'
import { ScriptedLog } from './scripted-log.ts'

const topic = 'sluice.events'
const at = { topic, partition: 0 }
let dir: string
let spool: EventLog
const warnings: string[] = []
const log = {
  info: () => {},
  warn: (_: object, text: string) => warnings.push(text),
  error: (_: object, text: string) => warnings.push(text),
}

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-spool-'))
  spool = openSpool()
  warnings.length = 0
})
afterEach(async () => {
  await spool.close()
  fs.rmSync(dir, { recursive: true })
})

const openSpool = (options = {}): EventLog =>
  openFileLog({ dir, waitFor: [forwarderGroup], retentionMs: 0, ...options })

const event = (sequence: number, options: { epoch?: number; previous?: number } = {}): Message => ({
  key: `run_${sequence % 17}`,
  headers: {
    [header.id]: formatEventId({ producer: 'gateway-1', epoch: options.epoch ?? 1, sequence }),
    [header.time]: new Date().toISOString(),
    ...(options.previous === undefined ? {} : { [header.previous]: `${options.previous}` }),
  },
  value: Buffer.from(`${sequence}`),
})
const events = (from: number, to: number, epoch = 1): Message[] =>
  Array.from({ length: to - from }, (_, i) => event(from + i, { epoch }))
const sequenceOf = ({ headers }: Message): number => parseEventId(headers[header.id]!)!.sequence

/** What a reader of the target would miss, by the rule: an event whose predecessor on its partition was not seen. */
function losses(taken: ScriptedLog['taken']): number[] {
  const seen = new Map<string, number>()
  const lost: number[] = []
  for (const one of taken) {
    const { producer, epoch, sequence } = parseEventId(one.headers[header.id]!)!
    const place = `${producer}.${epoch}/${one.partition}`
    const before = seen.get(place) ?? -1
    if (sequence <= before) continue
    if (Number(one.headers[header.previous] ?? sequence - 1) > before) lost.push(sequence)
    seen.set(place, sequence)
  }
  return lost
}

class Shipping {
  readonly target: ScriptedLog
  readonly #condition = new Condition()
  forwarder: Forwarder
  constructor(target = new ScriptedLog(12)) {
    this.target = target
    target.onTaken = () => this.#condition.changed()
    this.forwarder = this.start()
  }
  start(): Forwarder {
    this.forwarder = forward({ from: spool, at, to: this.target.log, topic, log })
    return this.forwarder
  }
  taken(records: number): Promise<void> {
    return this.#condition.until(`${records} records`, () => this.target.taken.length >= records)
  }
  sequences(): number[] {
    return this.target.taken.map(sequenceOf)
  }
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

test('everything arrives in the order of the spool, unchanged, and says what came before it on its partition', async () => {
  const writer = await spool.writer(topic)
  await appendAll(writer, events(0, 300))
  const shipping = new Shipping()
  await shipping.taken(300)
  await appendAll(writer, events(300, 500))
  await shipping.taken(500)
  await shipping.forwarder.close()
  assert.deepEqual(shipping.sequences(), range(0, 500))
  assert.deepEqual(losses(shipping.target.taken), [])
  const { key, value } = shipping.target.taken[42]!
  assert.deepEqual({ key, value: value.toString() }, { key: 'run_8', value: '42' })
  assert.deepEqual(await spool.committed(forwarderGroup, at).then(mark => mark?.offset), 500)
})

test('a record that is missing at the target is missed there', async () => {
  const writer = await spool.writer(topic)
  await appendAll(writer, events(0, 200))
  const shipping = new Shipping()
  await shipping.taken(200)
  await shipping.forwarder.close()
  for (const gone of [0, 50, 150]) {
    const rest = shipping.target.taken.filter(one => sequenceOf(one) !== gone)
    const next = rest.find(one => sequenceOf(one) > gone && one.partition === shipping.target.taken[gone]!.partition)!
    assert.deepEqual(losses(rest), [sequenceOf(next)])
  }
})

test('a record that is missing on the spool is missed at the target, one that was never told is not', async () => {
  const writer = await spool.writer(topic)
  await appendAll(writer, [...events(0, 5), ...events(8, 12), event(20, { previous: 11 }), ...events(21, 30)])
  const shipping = new Shipping()
  await shipping.taken(19)
  await shipping.forwarder.close()
  assert.deepEqual(losses(shipping.target.taken), [8])
})

test('after a restart it goes on at its mark with what it knew, and a new epoch begins a new chain', async () => {
  const writer = await spool.writer(topic)
  const shipping = new Shipping()
  for (let i = 0; i < 5; i++) {
    await appendAll(writer, events(i * 100, i * 100 + 100))
    await shipping.taken((i + 1) * 100)
    await shipping.forwarder.close()
    shipping.start()
  }
  await appendAll(writer, events(0, 100, 2))
  await shipping.taken(600)
  await shipping.forwarder.close()
  assert.deepEqual(shipping.sequences(), [...range(0, 500), ...range(0, 100)])
  assert.deepEqual(losses(shipping.target.taken), [])
})

test('while the target refuses, is silent or gives way in the middle, nothing is lost and the order stays', async () => {
  const writer = await spool.writer(topic)
  const target = new ScriptedLog(3)
  target.mode = 'refuses'
  const shipping = new Shipping(target)
  await appendAll(writer, events(0, 100))
  while (warnings.length === 0) await new Promise(setImmediate)
  assert.equal(target.taken.length, 0)
  target.takesYet = 37
  target.mode = 'takes'
  await shipping.taken(37)
  await appendAll(writer, events(100, 200))
  target.takesYet = Number.POSITIVE_INFINITY
  target.mode = 'takes'
  await shipping.taken(200)
  target.mode = 'is silent'
  await appendAll(writer, events(200, 250))
  const { records } = await until(
    () => shipping.forwarder.backlog(),
    one => one.records === 50,
  )
  assert.equal(records, 50)
  assert.ok(
    (
      await until(
        () => shipping.forwarder.backlog(),
        one => one.ageMs > 0,
      )
    ).ageMs > 0,
  )
  // A target that never answers: close gives it a moment, and the next start sends it again.
  await shipping.forwarder.close()
  target.mode = 'takes'
  shipping.start()
  await shipping.taken(250)
  await shipping.forwarder.close()
  assert.deepEqual(shipping.sequences(), range(0, 250))
  assert.deepEqual(losses(target.taken), [])
})

test('a record that the target will never take holds up nobody, and is missed', async () => {
  const writer = await spool.writer(topic)
  const target = new ScriptedLog(2)
  target.refusedForEver = message => sequenceOf(message) === 5
  const shipping = new Shipping(target)
  await appendAll(writer, events(0, 50))
  await shipping.taken(49)
  await shipping.forwarder.close()
  assert.deepEqual(
    shipping.sequences(),
    range(0, 50).filter(one => one !== 5),
  )
  assert.equal(losses(target.taken).length, 1)
  assert.equal(warnings.length, 1)
})

test('the spool keeps what is not shipped up to its bound, then lets go of what is', async () => {
  await spool.close()
  const maxBytes = 64 * 1024
  spool = openSpool({ maxBytes })
  const writer = await spool.writer(topic)
  const target = new ScriptedLog(2)
  target.mode = 'refuses'
  const shipping = new Shipping(target)
  let sequence = 0
  const appendUntilFull = async (most: number) => {
    for (; sequence < most; sequence++) {
      const fault = await new Promise(resolve => writer.append(event(sequence), resolve))
      if (fault !== null) return fault
    }
    return null
  }
  assert.match(String(await appendUntilFull(10_000)), /of the 65536 it may/)
  assert.ok(sequence > 300)
  target.mode = 'takes'
  const most = sequence * 4
  await until(
    () => appendUntilFull(most),
    fault => fault === null,
  )
  await shipping.taken(most)
  await shipping.forwarder.close()
  assert.deepEqual(shipping.sequences(), range(0, most))
  assert.ok((await spool.bounds(at)).earliest > 0)
})

test('a file log takes what is forwarded to it', async () => {
  const writer = await spool.writer(topic)
  await appendAll(writer, events(0, 20))
  const other = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-target-'))
  const to = openFileLog({ dir: other })
  const forwarder = forward({ from: spool, at, to, topic, log })
  const reading = new Reading(to, topic, 'earliest')
  await reading.count(20)
  assert.deepEqual(await reading.end(), range(0, 20).map(String))
  await forwarder.close()
  await to.close()
  fs.rmSync(other, { recursive: true })
})

/** Looks again each turn until it is so, or the deadline. */
async function until<T>(look: () => T | Promise<T>, holds: (seen: T) => boolean): Promise<T> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const seen = await look()
    if (holds(seen)) return seen
    assert.ok(performance.now() < deadline, 'it never came to that')
    await new Promise(setImmediate)
  }
}

test('a target that does not even tell its partitions holds up no close', async () => {
  const writer = await spool.writer(topic)
  await appendAll(writer, events(0, 5))
  let asked = 0
  const silent: EventLog = {
    ...new ScriptedLog(12).log,
    partitions: () => {
      asked++
      return new Promise(() => {})
    },
  }
  const forwarder = forward({ from: spool, at, to: silent, topic, log })
  const condition = new Condition()
  const looking = setInterval(() => condition.changed(), 5)
  await condition.until('the question', () => asked > 0)
  clearInterval(looking)
  const since = performance.now()
  await forwarder.close()
  assert.ok(performance.now() - since < 4_000)
  assert.equal(forwarder.backlog().records, 5)
})

test('who waits for an offset to be shipped hears when it is, and in time when it is not', async () => {
  const writer = await spool.writer(topic)
  const shipping = new Shipping()
  await appendAll(writer, events(0, 10))
  assert.equal(await shipping.forwarder.shipped(10, 5_000), true)
  assert.equal(shipping.target.taken.length, 10)
  shipping.target.mode = 'refuses'
  await appendAll(writer, events(10, 12))
  assert.equal(await shipping.forwarder.shipped(10, 0), true, 'what is there is there')
  assert.equal(await shipping.forwarder.shipped(11, 50), false)
  const waiting = shipping.forwarder.shipped(12, 5_000)
  shipping.target.mode = 'takes'
  assert.equal(await waiting, true)
  assert.equal(shipping.target.taken.length, 12)
  const never = shipping.forwarder.shipped(13, 60_000)
  await shipping.forwarder.close()
  assert.equal(await never, false, 'one that is closed ships no more')
})
