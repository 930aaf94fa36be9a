import type { Logger } from 'pino'
import { decodeSignal } from '../../schemas/stop.ts'
import { topics } from '../../schemas/topics.ts'
import type { OwnerSettings } from '../core/ledger.ts'
import { evict, openRules, replace, restore, type Snapshot, snapshot } from '../core/rules.ts'
import { foldStop, noStops } from '../core/stops.ts'
import type { Config } from '../io/config.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition, Worker } from '../io/log/port.ts'
import { openAlerts } from './alerts.ts'
import { openControl } from './control.ts'
import { openJudge } from './judge.ts'
import type { Snapshots } from './snapshots.ts'
import { openTreasury } from './treasury.ts'

/**
 * The enforcer folds what gateways say, and decides: money in leases, stops in kills and pauses. All of it is a fold of
 * the log, so this process can be thrown away at any time; what it decided stands on control.
 */
export type Enforcer = {
  /** Rejects where it cannot go on; a new process begins anew. */
  readonly ended: Promise<void>
  /** Another policy is in force. */
  readonly follow: (config: Config) => void
  readonly close: () => Promise<void>
}

export type EnforcerOptions = {
  readonly log: EventLog
  readonly life: Life
  readonly config: Config
  readonly settings: OwnerSettings
  /** The embedded ledger has a partition for each gateway that writes and one owner; Kafka's has an owner for each. */
  readonly owners: 'one' | 'one for each partition'
  readonly snapshots: Snapshots
  readonly logger: Logger
}

/** Under which it marks how far its rules have folded the events; the ledger is always folded by whoever owns it. */
export const rulesGroup = 'enforcer-rules'

/** As much is folded again after a crash: seconds, at any traffic. */
const keepEveryMs = 10_000
/** Longer than the longest window of a rule; what is idle for so long begins afresh. */
const idleMs = 24 * 3_600_000

export async function startEnforcer(options: EnforcerOptions): Promise<Enforcer> {
  const { log, life, snapshots, logger } = options
  const source = `/sluice/${life.producer}`
  const control = await openControl(log, life)
  const alerts = await openAlerts(log, source)
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => {}) // told by `ended`

  const stops = noStops()
  const known = log.follow(topics.control.name, {
    from: 'earliest',
    onBatch({ records }) {
      for (const record of records) {
        const told = decodeSignal(record)
        if (told !== null) foldStop(stops, told.signal, told.time)
      }
    },
  })
  known.ended.catch(broken.reject)
  await known.caughtUp

  let { config } = options
  const rules = openRules(config.breakers, config.policyVersion)
  const judge = openJudge({ stops, rules, control, alerts, source })
  const kept = keptRules(snapshots.read('rules'))
  if (kept !== null) restore(rules, kept.rules)
  const read = new Map<number, number>()
  const worker: Worker = {
    async assigned(at, mark) {
      const { earliest } = await log.bounds(at)
      const offset = kept?.offsets[at.partition] ?? mark?.offset ?? 0
      // The mark is behind the snapshot, or it is another machine's: what was not folded here has to be.
      const from = Math.max(earliest, mark === null ? earliest : Math.min(offset, mark.offset))
      read.set(at.partition, from)
      return from
    },
    async onBatch(batch) {
      await judge.read(batch)
      read.set(batch.partition, (batch.records.at(-1)?.offset ?? 0) + 1)
    },
    async revoked(at) {
      // Taken away while the log was: then the mark stays behind, and what lies between is folded again to the same end.
      await mark(at).catch(error => logger.debug({ err: error }, 'a partition went without its mark'))
      read.delete(at.partition)
    },
  }
  const events = (partition: number): Partition => ({ topic: topics.events.name, partition })
  const mark = ({ partition }: Partition): Promise<void> =>
    log.commit(rulesGroup, events(partition), { offset: read.get(partition) ?? 0 })

  const treasury = openTreasury({ ...options, control, alerts, caps: () => config })
  const consumer = log.consume(rulesGroup, [topics.events.name], worker)

  const keep = async (): Promise<void> => {
    evict(rules, Date.now() - idleMs)
    const offsets = Object.fromEntries(read)
    snapshots.write('rules', { format: 1, offsets, rules: snapshot(rules) } satisfies KeptRules)
    treasury.keep()
    for (const partition of read.keys()) await mark({ topic: topics.events.name, partition })
  }
  const keeping = setInterval(() => {
    keep().catch(error => logger.warn({ err: error }, 'what the enforcer knows could not be kept'))
  }, keepEveryMs)

  return {
    ended: Promise.race([consumer.ended, treasury.ended, broken.promise]),
    follow(next) {
      config = next
      replace(rules, next.breakers, next.policyVersion)
      treasury.lookAgain()
    },
    async close() {
      clearInterval(keeping)
      await consumer.close()
      await treasury.close()
      await known.close()
      await control.close()
      await alerts.close()
    },
  }
}

type KeptRules = {
  readonly format: 1
  /** By partition of the events. */
  readonly offsets: Readonly<Record<number, number>>
  readonly rules: Snapshot
}

/** A snapshot of another version of this program is none. */
function keptRules(read: unknown): KeptRules | null {
  const kept = read as KeptRules | null // checked by its sum, so it is as it was written
  return kept?.format === 1 && kept.rules.format === 1 ? kept : null
}
