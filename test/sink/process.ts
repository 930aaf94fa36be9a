import pino from 'pino'
import { Secret } from '../../schemas/secret.ts'
import { openClickHouse } from '../../services/io/clickhouse/client.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { startSink } from '../../services/sink/sink.ts'

/** A sink in a process of its own, to be killed. Told what to do by its first argument. */
const order: { dir: string; url: string; password: string; topics: string[]; rows: number; lingerMs: number } =
  JSON.parse(process.argv[2]!)
const clickhouse = openClickHouse(
  { url: order.url, user: 'sluice', password: new Secret(order.password), database: 'sluice' },
  { requestMs: 5_000 },
)
const sink = startSink({
  log: openFileLog({ dir: order.dir }),
  clickhouse,
  topics: order.topics,
  logger: pino({ level: process.env['SINK_LOG'] ?? 'silent' }),
  limits: { rows: order.rows, lingerMs: order.lingerMs },
})
process.once('SIGTERM', async () => {
  await sink.close()
  process.exit(0)
})
process.once('disconnect', () => process.exit(0))
await sink.ended
