import type { Logger } from 'pino'
import type { Message } from '../../../../schemas/events.ts'
import { Fault, textOf } from '../../fault.ts'
import { maxRecordBytes } from '../codec.ts'
import type { Writer } from '../port.ts'
import { inTime, now, unavailable } from './deadline.ts'
import { type Outgoing, Producer } from './producer.ts'
import type { Session } from './session.ts'

export type WriterLimits = {
  /**
   * A request follows the one before it no sooner than this (ms, at most 5), so that a stream becomes batches: a request
   * costs this process some 0.2 ms, whatever is in it. After a batch of one record the next is not held back: who writes
   * that seldom, wants it there soon.
   */
  readonly lingerMs: number
  /** What may wait, the batch under way included. */
  readonly maxQueueRecords: number
  readonly maxQueueBytes: number
  /** How long `close` waits for what is still queued, and `flush` for all of it. */
  readonly closeMs: number
  readonly flushMs: number
}

export const writerLimits: WriterLimits = {
  lingerMs: 5,
  maxQueueRecords: 100_000, // with the bytes below: some ten seconds of an outage at 5,000 events a second
  maxQueueBytes: 64 << 20,
  closeMs: 5_000,
  flushMs: 30_000,
}

const maxBatchRecords = 1_000 // beyond this a request grows slower than it saves
const maxBatchBytes = 900_000 // below a topic's usual max.message.bytes (1 MiB), which bounds the batch of a partition

type Queued = {
  readonly message: Message
  readonly bytes: number
  readonly since: number
  readonly done: ((fault: Fault | null, offset: number) => void) | undefined
}

/**
 * The port's Writer over one Producer: a bounded queue, and one batch under way. A refusal is told at once, ahead of what
 * still waits: with Kafka away that may be an hour.
 */
export function openWriter(session: Session, topic: string, log: Logger, limits: WriterLimits): Writer {
  const producer = new Producer(session, topic, log)
  const stop = new AbortController()
  let queue: Queued[] = []
  const underWay = new Set<Queued>()
  let records = 0
  let bytes = 0
  let taken = 0 // ever, of which `settled` are called back: `flush` waits for the one to reach the other
  let settled = 0
  let flushes: { readonly at: number; readonly resolve: () => void }[] = []
  let running: Promise<void> | null = null
  let lastStart = -Infinity
  let lastCount = 0
  let wake: (() => void) | null = null
  let closing: Promise<void> | null = null
  let fullTurn: Fault | null = null

  function append(message: Message, done?: Queued['done']): void {
    const size = sizeOf(message)
    const refusal = refuse(size)
    if (refusal) {
      if (done) queueMicrotask(() => done(refusal, -1))
      return
    }
    queue.push({ message, bytes: size, since: now(), done })
    records++
    bytes += size
    taken++
    if (queue.length >= maxBatchRecords || bytes >= maxBatchBytes) wake?.()
    running ??= run()
  }

  function refuse(size: number): Fault | null {
    if (closing) return new Fault('log_closed', `${topic}: the writer is closed`)
    if (size > maxRecordBytes)
      return new Fault('log_refused', `a record of ${size} bytes is more than ${maxRecordBytes}`)
    if (fullTurn) return fullTurn
    if (records < limits.maxQueueRecords && bytes + size <= limits.maxQueueBytes) return null
    // Until the turn is over nothing is taken, also if there is room: a smaller record must not overtake this one.
    setImmediate(() => {
      fullTurn = null
    })
    fullTurn = unavailable(`${topic}: ${records} records (${bytes} bytes) already wait for Kafka`)
    return fullTurn
  }

  async function run(): Promise<void> {
    while (queue.length > 0 && !stop.signal.aborted) {
      await gather()
      const batch = nextBatch()
      lastStart = now()
      lastCount = batch.length
      for (const one of batch) underWay.add(one)
      const outgoing = batch.map((one): Outgoing => ({ message: one.message, outcome: null }))
      await producer.send(outgoing, stop.signal)
      for (const [i, { outcome }] of outgoing.entries()) {
        if (outcome) settleOne(batch[i]!, outcome.fault, outcome.offset)
      }
    }
    running = null // in the turn that saw the queue empty, lest an append find a run that takes no more
  }

  /** Every record goes with the others of its turn of the loop, at least. */
  function gather(): Promise<void> {
    const waitMs = lastStart + limits.lingerMs - now()
    if (lastCount <= 1 || waitMs < 1 || queue.length >= maxBatchRecords)
      return new Promise(resolve => setImmediate(resolve))
    return new Promise(resolve => {
      const go = () => {
        clearTimeout(timer)
        wake = null
        resolve()
      }
      const timer = setTimeout(go, waitMs)
      wake = go
    })
  }

  function nextBatch(): readonly Queued[] {
    let size = 0
    let count = 0
    while (count < queue.length && count < maxBatchRecords) {
      size += queue[count]!.bytes
      if (count > 0 && size > maxBatchBytes) break
      count++
    }
    return queue.splice(0, count)
  }

  function settleOne(one: Queued, fault: Fault | null, offset: number): void {
    underWay.delete(one)
    records--
    bytes -= one.bytes
    settled++
    one.done?.(fault, offset)
    if (flushes.length > 0 && flushes[0]!.at <= settled) {
      for (const { at, resolve } of flushes) if (at <= settled) resolve()
      flushes = flushes.filter(({ at }) => at > settled)
    }
  }

  function drained(): Promise<void> {
    if (settled >= taken) return Promise.resolve()
    return new Promise(resolve => flushes.push({ at: taken, resolve }))
  }

  async function flush(): Promise<void> {
    if (!(await inTime(limits.flushMs, drained())))
      throw unavailable(`${topic}: ${records} records still wait for Kafka`)
  }

  async function shut(): Promise<void> {
    await inTime(limits.closeMs, drained())
    stop.abort()
    wake?.()
    session.close()
    await running
    const left = [...underWay, ...queue]
    queue = []
    if (left.length === 0) return
    log.warn({ topic, records: left.length }, 'closed with records that Kafka has not acknowledged')
    const fault = unavailable(`${topic}: closed before Kafka acknowledged the record; it may have it all the same`)
    for (const one of left) settleOne(one, fault, -1)
  }

  return {
    append,
    flush,
    backlog: () => {
      const oldest = underWay.values().next().value ?? queue[0]
      return { records, ageMs: oldest ? now() - oldest.since : 0 }
    },
    close: () => {
      closing ??= shut().catch(error => log.error({ err: error }, `closing the writer of ${topic}: ${textOf(error)}`))
      return closing
    },
  }
}

/** Bytes of the record on the wire, or a little more. */
function sizeOf({ key, headers, value }: Message): number {
  let bytes = value.length + 32
  if (key !== null) bytes += Buffer.byteLength(key)
  for (const name in headers) bytes += name.length + Buffer.byteLength(headers[name] ?? '') + 4
  return bytes
}
