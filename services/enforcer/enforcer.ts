import type { Logger } from 'pino'
import { decodeSignal } from '../../schemas/stop.ts'
import { topics } from '../../schemas/topics.ts'
import type { OwnerSettings } from '../core/money/ledger.ts'
import { openRules, replace } from '../core/rules/rules.ts'
import { foldStop, noStops } from '../core/runs/stops.ts'
import type { Config } from '../io/config/config.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition, Worker } from '../io/log/port.ts'
import { openAlerts } from './alerts.ts'
import { openControl } from './control.ts'
import { openJudge } from './judge.ts'
import { remember, rulesLimits, rulesName } from './remembered.ts'
import type { Snapshots } from './snapshots.ts'
import { openTreasury } from './treasury.ts'
import { openWideRules, type WideRules, widePartition } from './wide-rules.ts'

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

/** As much is folded again after a crash: seconds, at any traffic … */
const keepEveryMs = 10_000
/** … or, where so many have been heard that to keep them takes long, so many times what that takes. */
const keepOneIn = 20

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
  // Where all partitions are one reader's, so are all rules.
  const isAlone = options.owners === 'one'
  const rules = openRules(config.breakers, config.policyVersion, isAlone ? 'all' : 'of runs')
  const judging = { stops, control, alerts, source }
  const judge = openJudge({ ...judging, rules, acts: true })
  const shelf = snapshots.shelf(rulesName, rulesLimits)
  const remembered = remember(rules, shelf)
  /** A batch on its way: what it has led to may not stand on control yet, and must not be kept as if it did. */
  let underWay: Promise<unknown> | null = null
  const read = new Map<number, number>()
  let wide: WideRules | null = null
  const worker: Worker = {
    overwritten: true,
    async assigned(at, mark) {
      if (!isAlone && at.partition === widePartition) {
        wide = await openWideRules({ ...judging, log, snapshots, policy: config })
        wide.follow(config.breakers, config.policyVersion)
        wide.ended.catch(broken.reject)
      }
      const { earliest } = await log.bounds(at)
      const offset = remembered.offsets[at.partition] ?? mark?.offset ?? 0
      // The mark is behind the snapshot, or it is another machine's: what was not folded here has to be.
      const from = Math.max(earliest, mark === null ? earliest : Math.min(offset, mark.offset))
      read.set(at.partition, from)
      return from
    },
    async onBatch(batch) {
      underWay = judge.read(batch)
      await underWay
      underWay = null
      read.set(batch.partition, (batch.records.at(-1)?.offset ?? 0) + 1)
    },
    async revoked(at) {
      const gone = at.partition === widePartition ? wide : null
      if (gone !== null) wide = null
      // Taken away while the log was: then the mark stays behind, and what lies between is folded again to the same end.
      const marked = mark(at).catch(error => logger.debug({ err: error }, 'a partition went without its mark'))
      await Promise.all([marked, gone?.close()])
      read.delete(at.partition)
    },
  }
  const events = (partition: number): Partition => ({ topic: topics.events.name, partition })
  const mark = ({ partition }: Partition): Promise<void> =>
    log.commit(rulesGroup, events(partition), { offset: read.get(partition) ?? 0 })

  const treasury = openTreasury({ ...options, control, alerts, caps: () => config })
  const consumer = log.consume(rulesGroup, [topics.events.name], worker)

  const keep = async (): Promise<void> => {
    await treasury.keep()
    while (underWay !== null) await underWay
    const offsets = Object.fromEntries(read)
    await remembered.keep(offsets)
    await wide?.keep()
    // One that has gone to another member meanwhile took its mark with it.
    for (const [partition, offset] of Object.entries(offsets))
      if (read.has(Number(partition))) await log.commit(rulesGroup, events(Number(partition)), { offset })
  }
  let keeping: Promise<void> | null = null
  let timer: NodeJS.Timeout
  const keepIn = (ms: number): void => {
    timer = setTimeout(() => {
      const begun = performance.now()
      keeping = keep()
        .catch(error => logger.warn({ err: error }, 'what the enforcer knows could not be kept'))
        .finally(() => keepIn(Math.max(keepEveryMs, (performance.now() - begun) * keepOneIn)))
    }, ms)
  }
  keepIn(keepEveryMs)

  return {
    ended: Promise.race([consumer.ended, treasury.ended, alerts.ended, broken.promise]),
    follow(next) {
      config = next
      replace(rules, next.breakers, next.policyVersion)
      wide?.follow(next.breakers, next.policyVersion)
      treasury.lookAgain()
    },
    async close() {
      clearTimeout(timer)
      await consumer.close()
      await keeping
      clearTimeout(timer)
      shelf.close()
      await treasury.close()
      await known.close()
      await control.close()
      await alerts.close()
    },
  }
}
