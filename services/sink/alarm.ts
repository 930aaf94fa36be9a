import type { Alert } from '../../schemas/alert.ts'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import type { EventLog, Writer } from '../io/log/port.ts'
import type { Lost } from './keeper.ts'

/**
 * Tells the world that facts went missing: the alert `events.lost`. Its id is made from the gap, so telling it again
 * after a crash tells the same alert.
 */
export type Alarm = { readonly ring: (lost: readonly Lost[]) => Promise<void>; readonly close: () => Promise<void> }

/** Of the embedded log: the first one is the enforcer's. Kafka spreads by key. */
const ownPartition = 1

export function openAlarm(log: EventLog, now: () => number = Date.now): Alarm {
  let writer: Promise<Writer> | null = null
  return {
    async ring(lost) {
      writer ??= log.writer(topics.alerts.name, { partition: ownPartition }).catch(error => {
        writer = null // the next try opens another
        throw error
      })
      const open = await writer
      const told = lost.map(gap => {
        const scope = `producer:${gap.producer}`
        const alert: Alert = {
          type: 'events.lost',
          scope,
          rule: 'sequence',
          action: 'alert',
          mode: 'enforce',
          data: {
            topic: gap.topic,
            partition: gap.partition,
            producer: gap.producer,
            epoch: gap.epoch,
            from: gap.from,
            to: gap.to,
          },
        }
        const id = `lost:${gap.topic}:${gap.partition}:${gap.producer}.${gap.epoch}:${gap.from}-${gap.to}`
        const message = encode({ id, source: '/sluice/sink', time: now(), ...alert }, scope)
        return new Promise<void>((resolve, reject) =>
          open.append(message, fault => (fault === null ? resolve() : reject(fault))),
        )
      })
      await Promise.all(told)
    },
    close: async () => (await writer)?.close(),
  }
}
