import type { Logger } from 'pino'
import type { KeyOwner, KeyView } from '../../../schemas/agent-key.ts'
import { listedKeys } from '../../core/access/keys.ts'
import type { Config } from '../../io/config/config.ts'
import type { EventLog } from '../../io/log/port.ts'
import { type AppliedPolicy, followPolicy, type LivePolicy } from '../../io/policy/follow.ts'
import type { Payloads } from '../runs/tools.ts'
import { compile, compileProviders, type Upstreams } from './compile.ts'
import type { Policies } from './policies.ts'

/**
 * The policy that this gateway goes by, swapped as a whole when another one was applied. Calls in flight end under the one
 * they began under, which their facts name.
 */
export type InForce = {
  readonly live: LivePolicy
  config(): Config
  policies(): Policies
  payloads(): Payloads
  /** The keys that the policy lists, and those that were issued. */
  readonly listed: KeyView
  /** `keys` without those of agents that an apply has removed: no policy bounds such an agent any more. */
  withoutRemoved(keys: KeyView): KeyView
}

export type InForceOptions = {
  readonly log: EventLog
  /** The file's; in force until something is applied. */
  readonly start: Config
  /** What this machine adds to whatever policy is in force. */
  readonly own: (config: Config) => Config
  readonly upstreams: Upstreams
  /** Another policy is in force, or other keys. */
  readonly changed: () => void
  /** Where it is kept for a start without the log. */
  readonly file?: string
  readonly logger: Logger
}

/** Resolves when the policy can be decided by. */
export async function openInForce(options: InForceOptions): Promise<InForce> {
  const { start, own, logger } = options
  // Providers are the file's, for as long as the process lives: what stands open to them stays open.
  const providers = compileProviders(start, options.upstreams)
  const made = (config: Config) => {
    const whole = own(config)
    return { config: whole, policies: compile(whole, providers), listed: listedKeys(whole.agents) }
  }
  let now = made(start)
  const live = followPolicy(options.log, start, {
    changed(config, applied) {
      now = made(config)
      options.changed()
      announce(config, applied, logger)
    },
    ...(options.file === undefined ? {} : { file: options.file }),
    onFault: error => logger.warn({ err: error }, 'what is known of the policy could not be kept'),
    unreadable: sentence => logger.error(sentence),
  })
  await live.known
  warnOfFile(live, start.file, logger)
  return {
    live,
    config: () => now.config,
    policies: () => now.policies,
    payloads: () => now.config.payloads,
    listed: { find: hash => now.listed.find(hash), byId: id => now.listed.byId(id) },
    withoutRemoved(keys) {
      const kept = (owner: KeyOwner | undefined) =>
        owner === undefined || live.removed(owner.agent) ? undefined : owner
      return { find: hash => kept(keys.find(hash)), byId: id => kept(keys.byId(id)) }
    },
  }
}

function announce(config: Config, applied: AppliedPolicy | null, logger: Logger): void {
  const policy = config.policyVersion
  if (applied === null) {
    logger.info({ policy }, 'nothing is applied any more; the policy is that of the file')
    return
  }
  const { actor, at } = applied
  logger.info({ policy, actor, at: new Date(at).toISOString() }, `policy ${policy} is in force, as it was applied`)
  for (const { models, targets, fallback } of config.routes) {
    const missing = [...targets, ...fallback].filter(({ provider }) => !config.providers.has(provider))
    const names = [...new Set(missing.map(({ provider }) => provider))].join(', ')
    if (names !== '') logger.warn(`the route of ${models.join(', ')} names ${names}, which this gateway does not have`)
  }
}

/** Whoever edits the file and starts again must see that this alone changes nothing. */
function warnOfFile(live: LivePolicy, file: string | null, logger: Logger): void {
  const differing = live.differences().map(({ object }) => object)
  if (file === null || differing.length === 0) return
  const shown = differing.slice(0, shownDifferences).join(', ')
  const more = differing.length > shownDifferences ? ` and ${differing.length - shownDifferences} more` : ''
  logger.warn(
    `${file} says otherwise of ${shown}${more}: what was applied holds; sluice apply -f ${file} makes the file hold`,
  )
}

/** A line of a log, not a list of all agents. */
const shownDifferences = 10
