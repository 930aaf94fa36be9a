import path from 'node:path'
import { topics } from '../../../schemas/topics.ts'
import { startGateway } from '../../gateway/gateway.ts'
import { type Config, loadConfig } from '../../io/config/config.ts'
import { nextLife } from '../../io/epoch.ts'
import { type Credentials, openCredentials, quickstartAgent } from '../../io/keys/credentials.ts'
import { hashOfKey } from '../../io/keys/keys.ts'
import { type Forwarder, forward, forwarderGroup } from '../../io/log/forward.ts'
import type { EventLog, Partition } from '../../io/log/port.ts'
import type { Logger } from '../../io/logger.ts'
import { ensureTopics, openFiles, openSharedLog } from '../open-log.ts'
import { type StartRole, sinkGroup } from './role.ts'

/** Of the ten seconds of a whole drain: answers under way are what it is for. */
const drainMs = 7_000
/** And of these, with Kafka, for what the spool has not shipped. What is left is shipped by the next start. */
const shipMs = 2_000
/** And then for hanging up. */
const hangUpMs = 500

/** How much longer than a run may be idle the spool remembers it, so that the slowest restart still finds it there. */
const rememberedMs = 300_000

export const start: StartRole = async ({ settings, env, slot, logger }) => {
  const config = loadConfig(settings, env)
  if (slot === 0) for (const warning of config.warnings) logger.warn(warning)
  const { credentials } = openCredentials(settings)
  const life = nextLife(settings.dataDir, 'gateway', slot)
  const spooled = settings.kafka !== null
  const log = await openFiles(settings, logger, {
    durability: config.durability === 'spool' ? 'os' : 'fsync',
    // A spool has a bound, and keeps what is shipped for as long as a restart must remember it; the embedded log is the
    // history, and has an age.
    ...(spooled
      ? {
          retentionMs: config.runs.defaults.idleTimeoutMs + rememberedMs,
          maxBytes: config.limits.spoolBytes,
          waitFor: [forwarderGroup],
        }
      : { retentionMs: config.retention.log, waitFor: [sinkGroup] }),
  })
  const shared = spooled ? await openSharedLog(settings, life.producer, logger) : log
  await ensureTopics(log, logger)
  // Nobody waits for Kafka here: what must be known to serve stands on this disk since the first start.
  if (spooled) background(ensureTopics(shared, logger))

  const known = (what: string) => path.join(settings.dataDir, 'known', `${what}-${slot}.json`)
  const at: Partition = { topic: topics.events.name, partition: slot }
  const own = [topics.events, topics.ledger].map(({ name: topic }): Partition => ({ topic, partition: slot }))
  const ships = spooled ? await Promise.all(own.map(at => shipping(log, at, shared, settings.workers, logger))) : []
  const forwarders = ships.flat()
  const [events, ledger] = ships.map(([ofOwn]) => ofOwn)
  const gateway = await startGateway({
    config,
    own: config => withQuickstart(config, credentials),
    host: settings.host,
    port: settings.port,
    reusePort: settings.workers > 1,
    log,
    at,
    life,
    nextLife: () => nextLife(settings.dataDir, 'gateway', slot),
    ledgerOwners: spooled ? topics.ledger.partitions : 1,
    shared,
    ...(spooled
      ? {
          keysFile: known('keys'),
          signersFile: known('signers'),
          policyFile: known('policy'),
          stopsFile: known('stops'),
        }
      : {}),
    tokenKeyFile: path.join(settings.dataDir, 'token-key.json'),
    adminToken: credentials.adminToken.reveal(),
    peers: settings.workers > 1 || spooled,
    logger,
    ...(forwarders.length === 0 ? {} : { backlog: () => together(forwarders) }),
    // The embedded log is the log itself: on its disk is all there is.
    ...(config.durability === 'replicated' && events !== undefined && ledger !== undefined
      ? { shipping: { events: events.shipped, ledger: ledger.shipped } }
      : {}),
  })
  const applied = gateway.applied()
  // One that no longer sees revoked keys, or cannot read its spool, must not go on: the crash is the supervisor's to see.
  for (const end of [gateway.broken, ...forwarders.map(forwarder => forwarder.ended)]) background(end)
  return {
    facts: {
      listening: `${settings.host}:${gateway.port}`,
      ...(applied === null ? {} : { policy: applied.policyVersion }),
    },
    async close() {
      await gateway.close(spooled ? drainMs - shipMs : drainMs)
      if (spooled) await Promise.all(own.map(at => shipped(log, at)))
      // All that was promised is on this disk by now: a Kafka that is away is not waited for.
      const rest = [
        ...forwarders.map(forwarder => forwarder.close()),
        log.close(),
        ...(spooled ? [shared.close()] : []),
      ]
      await Promise.race([Promise.all(rest), new Promise(resolve => setTimeout(resolve, hangUpMs))])
    },
  }
}

/** What nobody waits for still ends the process where it fails. */
const background = (act: Promise<unknown>): void =>
  void act.catch(error => {
    throw error
  })

/**
 * A forwarder for this gateway's partition of the spool; the first gateway has one, too, for each that a start with more
 * workers has left behind.
 */
async function shipping(
  spool: EventLog,
  at: Partition,
  to: EventLog,
  workers: number,
  log: Logger,
): Promise<readonly Forwarder[]> {
  const left = at.partition === 0 ? (await spool.partitions(at.topic)).filter(partition => partition >= workers) : []
  // Whoever ships a partition holds its lock, and clears away what is shipped.
  for (const partition of left) await spool.writer(at.topic, { partition })
  return [at.partition, ...left].map(partition =>
    forward({ from: spool, at: { ...at, partition }, to, topic: at.topic, log }),
  )
}

function together(forwarders: readonly Forwarder[]): { readonly records: number; readonly ageMs: number } {
  const each = forwarders.map(forwarder => forwarder.backlog())
  return {
    records: each.reduce((sum, one) => sum + one.records, 0),
    ageMs: each.reduce((most, one) => Math.max(most, one.ageMs), 0),
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
