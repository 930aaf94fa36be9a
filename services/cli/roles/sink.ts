import { topics } from '../../../schemas/topics.ts'
import { openClickHouse } from '../../io/clickhouse/client.ts'
import { migrate } from '../../io/clickhouse/migrate.ts'
import { loadConfig } from '../../io/config/config.ts'
import type { ClickHouseSettings, Settings } from '../../io/config/settings.ts'
import { nextLife } from '../../io/epoch.ts'
import { textOf } from '../../io/fault.ts'
import { type Credentials, openCredentials } from '../../io/keys/credentials.ts'
import { openStatus } from '../../io/status.ts'
import { openAlarm } from '../../sink/alarm.ts'
import { openSinkFigures } from '../../sink/metrics.ts'
import { type Sink, startSink } from '../../sink/sink.ts'
import { ensureTopics, openSharedLog } from '../open-log.ts'
import { type RoleContext, type StartRole, sinkGroup } from './role.ts'

/** The topics whose records are rows of `events`. */
const stored = [topics.events, topics.ledger, topics.control, topics.alerts].map(topic => topic.name)

const dayMs = 86_400_000
/** The warehouse starts beside the sink and is there within a second; a server may be away for longer. */
const knockMs = { first: 50, last: 2_000 }

export const start: StartRole = async context => {
  const { settings, env, logger } = context
  const config = loadConfig(settings, env)
  const where = clickhouseOf(settings, openCredentials(settings).credentials)
  let sink: Sink | null = null
  const figures = openSinkFigures(() => sink?.lag() ?? { records: 0, ageMs: 0 })
  // First of all: whoever looks at a sink that waits for ClickHouse is told so.
  const status = await openStatus({
    host: settings.host,
    port: settings.consolePort,
    notReady: () => (sink === null ? 'it is starting' : figures.isAway() ? 'ClickHouse takes no rows' : null),
    metrics: figures,
  })
  const log = await openSharedLog(settings, nextLife(settings.dataDir, 'sink', 0).producer, logger)
  await Promise.all([
    ensureTopics(log, logger),
    prepared(context, where, Math.max(1, Math.ceil(config.retention.rows / dayMs))),
  ])
  const clickhouse = openClickHouse(where)
  const alarm = openAlarm(log)
  sink = startSink({
    log,
    clickhouse,
    topics: stored,
    group: sinkGroup,
    logger,
    metrics: figures,
    async onLost(lost) {
      await alarm.ring(lost)
      figures.lost(lost)
    },
  })
  // What trying again does not mend is a crash: the supervisor sees it, and starts another.
  sink.ended.catch(error => {
    throw error
  })
  const running = sink
  return {
    facts: { status: `${settings.host}:${status.port}` },
    async close() {
      await running.close()
      await alarm.close()
      await clickhouse.close()
      await log.close()
      await status.close()
    },
  }
}

/** Makes the schema, as soon as ClickHouse answers. */
async function prepared({ logger }: RoleContext, where: ClickHouseSettings, days: number): Promise<void> {
  for (let waitMs = knockMs.first; ; waitMs = Math.min(waitMs * 2, knockMs.last)) {
    try {
      const applied = await migrate(where, { days, rollupDays: Math.max(days, rollupDays) })
      if (applied.length > 0) logger.info({ applied }, 'the schema of ClickHouse is made')
      return
    } catch (error) {
      if (!isAway(error)) throw error
      if (waitMs >= knockMs.last) logger.warn(`ClickHouse at ${where.url} does not answer yet: ${textOf(error)}`)
      await new Promise(resolve => setTimeout(resolve, waitMs))
    }
  }
}

/** Spend by the minute is small, and last year's is asked for. */
const rollupDays = 400

const isAway = (error: unknown): boolean =>
  /^(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EPIPE)$/.test(
    String((error as NodeJS.ErrnoException).code),
  ) || /socket hang up|timeout/i.test(textOf(error))

function clickhouseOf(settings: Settings, credentials: Credentials): ClickHouseSettings {
  const embedded = {
    url: `http://127.0.0.1:${settings.warehousePort}`,
    user: 'sluice',
    password: credentials.warehouse.sluice,
    database: 'sluice',
  }
  return settings.clickhouse ?? embedded
}
