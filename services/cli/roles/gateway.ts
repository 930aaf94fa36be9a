import { topics } from '../../../schemas/topics.ts'
import { startGateway } from '../../gateway/gateway.ts'
import { type Config, loadConfig } from '../../io/config.ts'
import { type Credentials, openCredentials, quickstartAgent } from '../../io/credentials.ts'
import { nextLife } from '../../io/epoch.ts'
import { hashOfKey } from '../../io/keys.ts'
import { forward, forwarderGroup } from '../../io/log/forward.ts'
import type { EventLog, Partition } from '../../io/log/port.ts'
import { openFiles, openSharedLog } from '../open-log.ts'
import { type StartRole, sinkGroup } from './role.ts'

/** Of the ten seconds of a whole drain: answers under way are what it is for. */
const drainMs = 7_000
/** And of these, with Kafka, for what the spool has not shipped. What is left is shipped by the next start. */
const shipMs = 2_000

export const start: StartRole = async ({ settings, env, slot, logger }) => {
  const config = loadConfig(settings, env)
  if (slot === 0) for (const warning of config.warnings) logger.warn(warning)
  const { credentials } = openCredentials(settings)
  const life = nextLife(settings.dataDir, 'gateway', slot)
  const spooled = settings.kafka !== null
  const log = await openFiles(settings, logger, {
    durability: config.durability === 'spool' ? 'os' : 'fsync',
    // A spool is emptied as it is shipped and has a bound; the embedded log is the history, and has an age.
    ...(spooled
      ? { retentionMs: 0, maxBytes: config.limits.spoolBytes, waitFor: [forwarderGroup] }
      : { retentionMs: config.retention.log, waitFor: [sinkGroup] }),
  })
  const shared = spooled ? await openSharedLog(settings, life.producer, logger) : log
  const logs = [...new Set([log, shared])]
  for (const each of logs) for (const difference of await each.ensure(Object.values(topics))) logger.warn(difference)

  const at: Partition = { topic: topics.events.name, partition: slot }
  const forwarder = spooled ? forward({ from: log, at, to: shared, topic: at.topic, log: logger }) : null
  const gateway = await startGateway({
    config: withQuickstart(config, credentials),
    host: settings.host,
    port: settings.port,
    reusePort: settings.workers > 1,
    log,
    at,
    life,
    shared,
    adminToken: credentials.adminToken.reveal(),
    peers: settings.workers > 1 || spooled,
    logger,
    ...(forwarder === null ? {} : { backlog: forwarder.backlog }),
  })
  // One that no longer sees revoked keys, or cannot read its spool, must not go on: the crash is the supervisor's to see.
  for (const end of [gateway.broken, forwarder?.ended])
    end?.catch(error => {
      throw error
    })
  return {
    facts: { listening: `${settings.host}:${gateway.port}` },
    async close() {
      await gateway.close(spooled ? drainMs - shipMs : drainMs)
      if (forwarder !== null) {
        await shipped(log, at)
        await forwarder.close()
      }
      for (const each of logs) await each.close()
    },
  }
}

/** Waits until the spool is empty, for its disk may go with the machine; not for long, for Kafka may be away. */
async function shipped(spool: EventLog, at: Partition): Promise<void> {
  const deadline = performance.now() + shipMs
  while (performance.now() < deadline) {
    const mark = await spool.committed(forwarderGroup, at)
    if ((mark?.offset ?? 0) >= (await spool.bounds(at)).end) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** The quick start's key, as if the file had listed it. */
function withQuickstart(config: Config, credentials: Credentials): Config {
  const agents = new Map(config.agents)
  const listed = agents.get(quickstartAgent)
  const bare = { budgets: [], models: { deny: [] }, tools: { deny: [] }, mayDelegateTo: [] }
  const key = `sha256:${hashOfKey(credentials.agentKey.reveal())}`
  agents.set(quickstartAgent, { ...bare, ...listed, keys: [...(listed?.keys ?? []), key] })
  return { ...config, agents }
}
