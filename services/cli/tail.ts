import { parseArgs } from 'node:util'
import { parseDuration, spanMs } from '../../schemas/duration.ts'
import { decodeRaw, type Message } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { nearest } from '../io/config/nearest.ts'
import { readSettings } from '../io/config/settings.ts'
import { Fault, textOf } from '../io/fault.ts'
import type { Command } from './command.ts'
import { misused } from './command.ts'
import { withLog } from './open-log.ts'
import { type Entry, lineOf } from './tail-line.ts'

/** `sluice tail`: what is written to a topic, from now on or from earlier, until it is interrupted. */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      topic: { type: 'string', default: 'events' },
      from: { type: 'string', default: 'latest' },
      'no-follow': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
  const topic = topicOf(values.topic)
  const since = sinceOf(values.from)
  return withLog(readSettings(shell.env), 'cli-tail', async log => {
    const follower = log.follow(topic, {
      from: since === null ? 'latest' : 'earliest',
      onBatch: ({ records, partition }) => {
        for (const record of records) {
          const entry = read(record)
          if (entry.time < (since ?? 0)) continue
          shell.out(values.json ? `${JSON.stringify({ ...entry, partition, offset: record.offset })}\n` : lineOf(entry))
        }
      },
    })
    const interrupted = new Promise<void>(resolve => {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
    })
    await Promise.race([interrupted, follower.ended, ...(values['no-follow'] ? [follower.caughtUp] : [])]).catch(
      error => {
        throw new Fault('log_broken', `${topic} cannot be read: ${textOf(error)}`, { cause: error })
      },
    )
    await follower.close()
    return 0
  })
}

/** Both `sluice.events` and `events` are understood. */
function topicOf(given: string): string {
  const names = Object.values(topics).map(topic => topic.name)
  const found = names.find(name => name === given || name === `sluice.${given}`)
  if (found !== undefined) return found
  const near = nearest(given, Object.keys(topics))
  throw misused(
    `There is no topic ${given}; ${near === null ? `there is ${names.join(', ')}.` : `did you mean ${near}?`}`,
  )
}

/** Unix milliseconds of the first record to show; null where only new ones are. */
function sinceOf(given: string): number | null {
  if (given === 'latest') return null
  if (given === 'earliest') return 0
  const span = parseDuration(given)
  const ms = span === null ? null : spanMs(span)
  const time = ms === null ? Date.parse(given) : Date.now() - ms
  if (Number.isNaN(time))
    throw misused(
      `--from wants earliest, latest, a duration such as 5m, or a time such as 2026-01-31T09:00; got ${given}.`,
    )
  return time
}

/** A record of ours, or what can be said of one that is not. */
function read(record: Message): Entry {
  try {
    return decodeRaw(record)
  } catch {
    return {
      id: '',
      source: '',
      type: record.headers['ce_type'] ?? 'unreadable',
      time: Date.now(),
      bytes: record.value.length,
    }
  }
}
