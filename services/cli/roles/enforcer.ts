import path from 'node:path'
import { startEnforcer } from '../../enforcer/enforcer.ts'
import { openSnapshots } from '../../enforcer/snapshots.ts'
import { loadConfig } from '../../io/config/config.ts'
import { nextLife } from '../../io/epoch.ts'
import { followPolicy } from '../../io/policy/follow.ts'
import { ensureTopics, openSharedLog } from '../open-log.ts'
import type { StartRole } from './role.ts'

/** Clocks of two machines run alike within this much of a term, and a beat may be read late. */
const marginMs = 5_000

export const start: StartRole = async ({ settings, env, slot, logger }) => {
  const life = nextLife(settings.dataDir, 'enforcer', slot)
  const log = await openSharedLog(settings, life.producer, logger)
  await ensureTopics(log, logger)
  const policy = followPolicy(log, loadConfig(settings, env), {
    changed: config => enforcer?.follow(config),
    unreadable: sentence => logger.error(sentence),
  })
  let enforcer: Awaited<ReturnType<typeof startEnforcer>> | null = null
  await policy.known
  enforcer = await startEnforcer({
    log,
    life,
    config: policy.config(),
    settings: { termMs: policy.config().leases.termMs, marginMs, keepsLease: false },
    owners: settings.kafka === null ? 'one' : 'one for each partition',
    snapshots: openSnapshots(path.join(settings.dataDir, 'enforcer')),
    logger,
  })
  enforcer.follow(policy.config())
  // What it does not know it must not decide: the crash is the supervisor's to see.
  Promise.race([enforcer.ended, policy.ended]).catch(error => {
    throw error
  })
  return {
    async close() {
      await enforcer.close()
      await policy.close()
      await log.close()
    },
  }
}
