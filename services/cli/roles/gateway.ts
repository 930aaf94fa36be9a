import { topics } from '../../../schemas/topics.ts'
import { startGateway } from '../../gateway/gateway.ts'
import { type Config, loadConfig } from '../../io/config.ts'
import { type Credentials, openCredentials, quickstartAgent } from '../../io/credentials.ts'
import { nextLife } from '../../io/epoch.ts'
import { hashOfKey } from '../../io/keys.ts'
import { openFiles, openSharedLog } from '../open-log.ts'
import type { StartRole } from './role.ts'

/** Most of the drain: answers under way are what it is for. */
const drainMs = 6_500

export const start: StartRole = async ({ settings, env, slot, logger }) => {
  const config = loadConfig(settings, env)
  if (slot === 0) for (const warning of config.warnings) logger.warn(warning)
  const { credentials } = openCredentials(settings)
  const log = await openFiles(settings, logger, {
    durability: config.durability === 'spool' ? 'os' : 'fsync',
    // A spool is emptied as it is shipped and has a bound; the embedded log is the history, and has an age.
    ...(settings.kafka === null
      ? { retentionMs: config.retention.log }
      : { retentionMs: 0, maxBytes: config.limits.spoolBytes }),
  })
  const shared = settings.kafka === null ? log : await openSharedLog(settings, `gateway-${slot}`, logger)
  for (const each of new Set([log, shared]))
    for (const difference of await each.ensure(Object.values(topics))) logger.warn(difference)
  const gateway = await startGateway({
    config: withQuickstart(config, credentials),
    host: settings.host,
    port: settings.port,
    reusePort: settings.workers > 1,
    log,
    at: { topic: topics.events.name, partition: slot },
    life: nextLife(settings.dataDir, 'gateway', slot),
    shared,
    adminToken: credentials.adminToken.reveal(),
    logger,
  })
  // A gateway that no longer sees revoked keys must not go on: the crash is seen by the supervisor.
  gateway.broken.catch(error => {
    throw error
  })
  return {
    facts: { listening: `${settings.host}:${gateway.port}` },
    async close() {
      await gateway.close(drainMs)
      for (const each of new Set([log, shared])) await each.close()
    },
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
