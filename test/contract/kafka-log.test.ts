import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { openKafka, silent, whyNoKafka } from '../support/broker.ts'
import { eventLogContract } from './event-log.ts'

const why = await whyNoKafka()
if (why !== null) test('event log: a real Kafka', t => t.skip(why))
else
  eventLogContract('a real Kafka', async () => {
    const kafka = await openKafka()
    const logs: EventLog[] = []
    const open = async () => {
      const clientId = `contract-${randomBytes(3).toString('hex')}`
      const log = openKafkaLog({ brokers: kafka.brokers, clientId, log: silent })
      logs.push(log)
      return log
    }
    return {
      log: await open(),
      reopen: open,
      cleanup: async () => {
        await Promise.all(logs.map(log => log.close()))
        await kafka.close()
      },
    }
  })
