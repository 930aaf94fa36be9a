import { openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import { silent } from './broker.ts'

/** A member of a group in a process of its own, to be killed: commits its first record, says so, and holds on. */
const [brokers = '', topic = '', group = '', clientId = 'to-be-killed', seat = ''] = process.argv.slice(2)
const own = { clientId, keepsSeat: seat === 'kept', sessionMs: 6_000 }
const log = openKafkaLog({ brokers: brokers.split(','), log: silent, ...own })
log.consume(group, [topic], {
  assigned: () => 0,
  onBatch: async batch => {
    const [first] = batch.records
    if (first) await log.commit(group, batch, { offset: first.offset + 1, note: first.value.toString() })
    process.stdout.write('committed\n')
    await new Promise(() => {})
  },
  revoked: () => {},
})
