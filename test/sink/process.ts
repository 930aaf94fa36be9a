import pino from 'pino'
import { Secret } from '../../schemas/secret.ts'
import { openClickHouse } from '../../services/io/clickhouse/client.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import { startSink } from '../../services/sink/sink.ts'

export type SinkOrder = {
  readonly log: { readonly dir: string } | { readonly brokers: readonly string[] }
  readonly url: string
  readonly password: string
  readonly topics: readonly string[]
  readonly rows: number
  readonly lingerMs: number
}

/** A sink in a process of its own, to be killed. Told what to do by its first argument. */
const order: SinkOrder = JSON.parse(process.argv[2]!)
const logger = pino({ level: process.env['SINK_LOG'] ?? 'silent' })
const clickhouse = openClickHouse(
  { url: order.url, user: 'sluice', password: new Secret(order.password), database: 'sluice' },
  { requestMs: 5_000 },
)
const log =
  'dir' in order.log
    ? openFileLog({ dir: order.log.dir })
    : openKafkaLog({ brokers: order.log.brokers, clientId: `sink-${process.pid}`, log: logger, sessionMs: 6_000 })
const sink = startSink({
  log,
  clickhouse,
  topics: order.topics,
  logger,
  limits: { rows: order.rows, lingerMs: order.lingerMs },
})
process.once('SIGTERM', async () => {
  await sink.close()
  process.exit(0)
})
process.once('disconnect', () => process.exit(0))
await sink.ended
