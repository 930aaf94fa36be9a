import type { Logger } from 'pino'
import { topics } from '../../schemas/topics.ts'
import { booksFrom, type KeptBooks } from '../core/books-kept.ts'
import { budgetsOf, type Caps, capOfNode, scopeOfNode } from '../core/caps.ts'
import type { OwnerSettings } from '../core/ledger.ts'
import type { Position } from '../core/position.ts'
import type { NodeTerms } from '../core/serving.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition, Worker } from '../io/log/port.ts'
import type { Alerts } from './alerts.ts'
import type { Control } from './control.ts'
import type { Snapshots } from './snapshots.ts'
import { openSteward, type Steward } from './steward.ts'

/** The owners of those parts of the ledger that are this enforcer's. */
export type Treasury = {
  readonly lookAgain: () => void
  /** Keeps what the owners know on this disk. */
  readonly keep: () => void
  readonly ended: Promise<void>
  readonly close: () => Promise<void>
}

export const ledgerGroup = 'enforcer'

export function openTreasury(options: {
  readonly log: EventLog
  readonly life: Life
  readonly caps: () => Caps
  readonly settings: OwnerSettings
  readonly owners: 'one' | 'one for each partition'
  readonly snapshots: Snapshots
  readonly control: Control
  readonly alerts: Alerts
  readonly logger: Logger
}): Treasury {
  const { log, life, caps, settings, owners, snapshots, control, alerts } = options
  const { name: topic } = topics.ledger
  const broken = Promise.withResolvers<never>()
  broken.promise.catch(() => {}) // told by `ended`
  const stewards = new Map<number, Steward>()
  let opened = 0

  const nodeAt = (node: string, wallMs: number): NodeTerms | null => {
    const budgets = budgetsOf(caps(), scopeOfNode(node))
    return budgets === null ? null : capOfNode(node, budgets, wallMs)
  }
  const ends = async (partitions: readonly number[]): Promise<Position> => {
    const bounds = partitions.map(async partition => [partition, (await log.bounds({ topic, partition })).end] as const)
    return Object.fromEntries(await Promise.all(bounds))
  }
  const stewardOf = (partition: number): Steward => {
    const known = stewards.get(partition)
    if (known !== undefined) return known
    const kept = keptBooks(snapshots.read(`books-${partition}`))
    const steward = openSteward({
      log,
      name: `${life.producer}.${life.epoch}.${++opened}`,
      partition,
      settings,
      nodeAt,
      ends: async () => ends(owners === 'one' ? await log.partitions(topic) : [partition]),
      control,
      alerts,
      books: kept === null ? null : booksFrom(kept),
    })
    steward.ended.catch(broken.reject)
    stewards.set(partition, steward)
    return steward
  }
  const ownerOf = ({ partition }: Partition): number => (owners === 'one' ? 0 : partition)
  const keep = (partition: number, steward: Steward): void => {
    const kept = steward.kept()
    if (kept !== null) snapshots.write(`books-${partition}`, kept)
  }

  const worker: Worker = {
    async assigned(at) {
      const { earliest } = await log.bounds(at)
      return Math.max(earliest, stewardOf(ownerOf(at)).owner.books.ledgerNext[at.partition] ?? 0)
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
  // Its first word does not wait for the first gateway's.
  if (owners === 'one') stewardOf(0)
  const consumer = log.consume(ledgerGroup, [topic], worker)

  return {
    ended: Promise.race([consumer.ended, broken.promise]),
    lookAgain() {
      for (const steward of stewards.values()) steward.lookAgain()
    },
    keep() {
      for (const [partition, steward] of stewards) keep(partition, steward)
    },
    async close() {
      await consumer.close()
      for (const steward of stewards.values()) await steward.close()
    },
  }
}

/** A snapshot of another version of this program is none. */
function keptBooks(read: unknown): KeptBooks | null {
  const kept = read as KeptBooks | null // checked by its sum, so it is as it was written
  return kept?.format === 1 ? kept : null
}
