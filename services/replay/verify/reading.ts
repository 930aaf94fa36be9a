import { header, parseEventId } from '../../../schemas/envelope.ts'
import { decodeRaw } from '../../../schemas/events.ts'
import { type Heard, hear } from '../../core/sequence.ts'
import type { EventLog, LogRecord, Partition } from '../../io/log/port.ts'

/** A part of a partition: from the first offset that can still be read, up to the cut. */
export type Span = Partition & { readonly from: number; readonly to: number }

/** Where a topic ends now; empty where it was never written. */
export async function spansOf(log: EventLog, topic: string): Promise<readonly Span[]> {
  const partitions = await log.partitions(topic)
  return Promise.all(
    partitions.map(async partition => {
      const { earliest, end } = await log.bounds({ topic, partition })
      return { topic, partition, from: earliest, to: end }
    }),
  )
}

/** The records of a span, batch by batch, as fast as they are taken. Throws what the log throws. */
export async function* recordsOf(
  log: EventLog,
  { topic, partition, from, to }: Span,
): AsyncGenerator<readonly LogRecord[]> {
  if (from >= to) return
  const given: { readonly records: readonly LogRecord[]; readonly taken: () => void }[] = []
  let over = false
  let broken: { readonly by: unknown } | null = null
  let news = Promise.withResolvers<void>()
  const follower = log.follow(topic, {
    from: [{ topic, partition, offset: from }],
    partitions: [partition],
    onBatch: ({ records }) => {
      if (over) return
      return new Promise(taken => {
        given.push({ records, taken })
        news.resolve()
      })
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  follower.caughtUp.then(
    () => {
      over = true
      news.resolve()
    },
    by => {
      broken = { by }
      news.resolve()
    },
  )
  try {
    for (;;) {
      const next = given.shift()
      if (next !== undefined) {
        const within = next.records.filter(({ offset }) => offset < to)
        try {
          if (within.length > 0) yield within
        } finally {
          next.taken()
        }
        if ((next.records.at(-1)?.offset ?? 0) >= to - 1) return
        continue
      }
      if (broken !== null) throw (broken as { readonly by: unknown }).by // set in a callback, which the type does not see
      if (over) return
      await news.promise
      news = Promise.withResolvers<void>()
    }
  } finally {
    over = true
    for (const { taken } of given) taken()
    await follower.close()
  }
}

/**
 * Of the next records of a partition those that say something for the first time: after a crash a forwarder sends again
 * what it may have sent, and each reader drops it by its number, as the sink does.
 */
export type Hearing = (at: Partition, records: readonly LogRecord[]) => readonly LogRecord[]

export function openHearing(): Hearing {
  const heard = new Map<string, Heard>()
  return ({ topic, partition }, records) => {
    const name = `${topic}/${partition}`
    // An empty value is how a compacted topic forgets a key.
    const told = records.filter(({ value }) => value.length > 0)
    const hearing = hear(heard.get(name) ?? new Map(), told.map(tellingOf))
    heard.set(name, hearing.heard)
    return told.filter((_, i) => hearing.fresh[i])
  }
}

/** A record, parsed once for all who look at it; null for what cannot be read. */
export type Read = { readonly record: LogRecord; readonly raw: Raw | null }
export type Raw = ReturnType<typeof decodeRaw>

export function readOf(record: LogRecord): Read {
  try {
    return { record, raw: decodeRaw(record) }
  } catch {
    return { record, raw: null } // the sink tells the world about it
  }
}

const tellingOf = ({ headers }: LogRecord) => {
  const origin = parseEventId(headers[header.id] ?? '')
  const previous = Number(headers[header.previous] ?? Number.NaN)
  return {
    origin: origin === null || origin.epoch < 0 || origin.sequence < 0 ? null : origin,
    previous: Number.isSafeInteger(previous) ? previous : null,
  }
}

/** Reads a span bit by bit, as far as it is asked to. */
export type Cursor = {
  /** Gives `take` each record below `offset` that it has not had. */
  readonly advance: (offset: number, take: (record: LogRecord) => void) => Promise<void>
  readonly close: () => Promise<void>
}

export function openCursor(log: EventLog, span: Span): Cursor {
  const batches = recordsOf(log, span)
  let batch: readonly LogRecord[] = []
  let i = 0
  let next = span.from
  let done = false
  return {
    async advance(offset, take) {
      while (!done && next < offset) {
        const record = batch[i]
        if (record === undefined) {
          const more = await batches.next()
          done = more.done === true
          batch = more.done === true ? [] : more.value
          i = 0
          continue
        }
        if (record.offset >= offset) return
        i += 1
        next = record.offset + 1
        take(record)
      }
    },
    close: async () => void (await batches.return(undefined)),
  }
}
