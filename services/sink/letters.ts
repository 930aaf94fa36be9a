import { isUtf8 } from 'node:buffer'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import type { EventLog, LogRecord, Partition, Writer } from '../io/log/port.ts'

/** A record that cannot be read, and why. */
export type Letter = { readonly at: Partition; readonly record: LogRecord; readonly why: string }

/** Puts letters on `sluice.deadletters`; resolves when they are safe there. Throws the log's Fault. */
export type Letters = (letters: readonly Letter[]) => Promise<void>

/** Enough to see what it was; with its wrapping it stays below Kafka's usual megabyte. */
const valueBytes = 256 * 1024

/**
 * Its id is the place of the record, so a letter that is written again after a crash is known to be the same. The writer
 * is opened with the first letter: on the file log it locks the topic's partition, and most sinks never need it.
 */
export function openLetters(log: EventLog): Letters {
  let opening: Promise<Writer> | null = null
  const writer = (): Promise<Writer> => {
    opening ??= log.writer(topics.deadletters.name).catch(error => {
      opening = null
      throw error
    })
    return opening
  }
  return async letters => {
    const open = await writer()
    await Promise.all(
      letters.map(
        letter =>
          new Promise<void>((resolve, reject) => {
            const message = encode(letterOf(letter), null)
            open.append(message, fault => (fault === null ? resolve() : reject(fault)))
          }),
      ),
    )
  }
}

function letterOf({ at, record, why }: Letter) {
  const seen = record.value.subarray(0, valueBytes)
  const asText = isUtf8(seen)
  return {
    id: `${at.topic}-${at.partition}-${record.offset}`,
    source: '/sluice/sink',
    time: Date.now(),
    type: 'record.unreadable',
    topic: at.topic,
    partition: at.partition,
    offset: record.offset,
    why,
    key: record.key,
    headers: record.headers,
    value: seen.toString(asText ? 'utf8' : 'base64'),
    encoding: asText ? 'utf8' : 'base64',
    value_bytes: record.value.length,
  }
}
