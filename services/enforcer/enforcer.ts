import type { Logger } from 'pino'
import { topics } from '../../schemas/topics.ts'
import { budgetsOf, type Caps, capOfNode, scopeOfNode } from '../core/caps.ts'
import type { NodeTerms, OwnerSettings } from '../core/ledger.ts'
import type { Position } from '../core/position.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition, Worker } from '../io/log/port.ts'
import { openAlerts } from './alerts.ts'
import { openControl } from './control.ts'
import { openSteward, type Steward } from './steward.ts'

/**
 * The enforcer folds what gateways say, and decides: money in leases, stops in kills and pauses. All of it is a fold of
 * the log, so this process can be thrown away at any time; what it decided stands on control.
 */
export type Enforcer = {
  /** Rejects where it cannot go on; a new process begins anew. */
  readonly ended: Promise<void>
  /** The policy has changed. */
  readonly policyChanged: () => void
  readonly close: () => Promise<void>
}

export type EnforcerOptions = {
  readonly log: EventLog
  readonly life: Life
  readonly caps: () => Caps
  readonly settings: OwnerSettings
  /** The embedded ledger has a partition for each gateway that writes and one owner; Kafka's has an owner for each. */
  readonly owners: 'one' | 'one for each partition'
  readonly logger: Logger
}

export const enforcerGroup = 'enforcer'

export async function startEnforcer(options: EnforcerOptions): Promise<Enforcer> {
  const { log, life, caps, settings, owners } = options
  const control = await openControl(log, life)
  const alerts = await openAlerts(log, `/sluice/${life.producer}`)
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => {}) // told by `ended`
  const stewards = new Map<number, Steward>()
  let opened = 0

  const nodeAt = (node: string, wallMs: number): NodeTerms | null => {
    const budgets = budgetsOf(caps(), scopeOfNode(node))
    return budgets === null ? null : capOfNode(node, budgets, wallMs)
  }
  const ends = async (partitions: readonly number[]): Promise<Position> => {
    const { name: topic } = topics.ledger
    const bounds = partitions.map(async partition => [partition, (await log.bounds({ topic, partition })).end] as const)
    return Object.fromEntries(await Promise.all(bounds))
  }
  const stewardOf = (partition: number): Steward => {
    const known = stewards.get(partition)
    if (known !== undefined) return known
    const steward = openSteward({
      log,
      name: `${life.producer}.${life.epoch}.${++opened}`,
      partition,
      settings,
      nodeAt,
      ends: async () => ends(owners === 'one' ? await log.partitions(topics.ledger.name) : [partition]),
      control,
      alerts,
    })
    steward.ended.catch(broken.reject)
    stewards.set(partition, steward)
    return steward
  }
  const ownerOf = ({ partition }: Partition): number => (owners === 'one' ? 0 : partition)

  const worker: Worker = {
    async assigned(at) {
      stewardOf(ownerOf(at))
      return (await log.bounds(at)).earliest
    },
    async onBatch(batch) {
      stewardOf(ownerOf(batch)).read(batch)
    },
    async revoked(at) {
      const partition = ownerOf(at)
      const steward = stewards.get(partition)
      stewards.delete(partition)
      await steward?.close()
    },
  }
  if (owners === 'one') stewardOf(0)
  const consumer = log.consume(enforcerGroup, [topics.ledger.name], worker)

  return {
    ended: Promise.race([consumer.ended, broken.promise]),
    policyChanged: () => {
      for (const steward of stewards.values()) steward.lookAgain()
    },
    async close() {
      await consumer.close()
      for (const steward of stewards.values()) await steward.close()
      await control.close()
      await alerts.close()
    },
  }
}
