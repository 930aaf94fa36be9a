import { LRUCache } from 'lru-cache'
import type { Alert } from '../../schemas/alert.ts'
import { header } from '../../schemas/envelope.ts'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import type { Fault } from '../io/fault.ts'
import type { EventLog } from '../io/log/port.ts'

/**
 * What is told to people, once each: an alert's id is made from its cause, and what stands on the topic already is not
 * told again by whoever decides the same: after a crash, or in place of another.
 */
export type Alerts = {
  /** Resolves when it is safe; at once where it was told before. */
  readonly raise: (id: string, alert: Alert, time?: number) => Promise<void>
  readonly ended: Promise<void>
  readonly close: () => Promise<void>
}

/** More than are told within the topic's retention by anything but a storm. */
const remembered = 200_000

export async function openAlerts(log: EventLog, source: string): Promise<Alerts> {
  const told = new LRUCache<string, true>({ max: remembered })
  const reading = log.follow(topics.alerts.name, {
    from: 'earliest',
    onBatch({ records }) {
      for (const record of records) told.set(record.headers[header.id] ?? '', true)
    },
  })
  reading.ended.catch(() => {}) // told by `caughtUp` and `ended`
  await reading.caughtUp
  const writer = await log.writer(topics.alerts.name)
  return {
    raise(id, alert, time = Date.now()) {
      if (told.has(id)) return Promise.resolve()
      told.set(id, true)
      return new Promise((resolve, reject) =>
        writer.append(encode({ id, source, time, ...alert }, alert.scope), (fault: Fault | null) => {
          if (fault === null) return resolve()
          told.delete(id)
          reject(fault)
        }),
      )
    },
    ended: reading.ended,
    async close() {
      await reading.close()
      await writer.close()
    },
  }
}
