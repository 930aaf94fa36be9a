import { startEnforcer } from '../../enforcer/enforcer.ts'
import { loadConfig } from '../../io/config.ts'
import { nextLife } from '../../io/epoch.ts'
import { followPolicy } from '../../io/policy-follow.ts'
import { ensureTopics, openSharedLog } from '../open-log.ts'
import type { StartRole } from './role.ts'

/** Clocks of two machines run alike within this much of a term, and a beat may be read late. */
const marginMs = 5_000

export const start: StartRole = async ({ settings, env, slot, logger }) => {
  const config = loadConfig(settings, env)
  const life = nextLife(settings.dataDir, 'enforcer', slot)
  const log = await openSharedLog(settings, life.producer, logger)
  await ensureTopics(log, logger)
  let changed = () => {}
  const policy = followPolicy(log, config, {
    changed: () => changed(),
    unreadable: sentence => logger.error(sentence),
  })
  await policy.known
  const enforcer = await startEnforcer({
    log,
    life,
    caps: policy.config,
    settings: { termMs: config.leases.termMs, marginMs, keepsLease: false },
    owners: settings.kafka === null ? 'one' : 'one for each partition',
    logger,
  })
  changed = enforcer.policyChanged
  // What it does not know it must not decide: the crash is the supervisor's to see.
  for (const end of [enforcer.ended, policy.ended])
    end.catch(error => {
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
