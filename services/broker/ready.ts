import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { Fault, textOf } from '../io/fault.ts'
import { openClient } from '../io/log/kafka/client.ts'

const attemptMs = 100
/** A first start on a loaded laptop takes some ten seconds. */
const readyMs = 60_000

/**
 * Resolves when the broker answers as brokers do: it knows itself as part of the cluster, and it coordinates groups
 * (which makes the topic of their offsets now instead of at the first consumer). An open port says neither.
 */
export async function untilReady(brokers: string, ended: Promise<unknown>): Promise<void> {
  let gone = false
  const going = ended.then(() => {
    gone = true
  })
  const until = performance.now() + readyMs
  const group = `ready-${randomBytes(4).toString('hex')}`
  for (;;) {
    const attempt = answers(brokers, group)
    try {
      await Promise.race([attempt, going])
      if (gone) throw new Fault('broker_failed', 'Kafka ended before it answered')
      return
    } catch (error) {
      if (gone) throw error
      if (performance.now() > until) {
        throw new Fault('broker_failed', `Kafka did not answer within ${readyMs} ms: ${textOf(error)}`, {
          cause: error,
        })
      }
      await new Promise(resolve => setTimeout(resolve, attemptMs))
    }
  }
}

async function answers(brokers: string, group: string): Promise<void> {
  const client = openClient({ brokers: [brokers], clientId: 'sluice-kafka', log: pino({ level: 'silent' }) })
  const admin = client.kafka.admin({ retry: { retries: 0 } })
  try {
    await admin.connect()
    const cluster = await admin.describeCluster()
    if (cluster.brokers.length === 0) throw new Error('the broker has not joined its cluster yet')
    await admin.fetchOffsets({ groupId: group })
  } finally {
    client.cut()
  }
}
