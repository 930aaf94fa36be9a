import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { topics } from '../../schemas/topics.ts'
import { budgetsOf, type Caps, capOfNode, scopeOfNode } from '../core/money/caps.ts'
import type { OwnerSettings } from '../core/money/ledger.ts'
import type { Position } from '../core/money/position.ts'
import type { NodeTerms } from '../core/money/serving.ts'
import type { Life } from '../io/epoch.ts'
import type { EventLog, Partition, Worker } from '../io/log/port.ts'
import type { Alerts } from './alerts.ts'
import type { Control } from './control.ts'
import type { Shelf } from './shelf.ts'
import { booksLimits, booksName, type ShelvedBooks, shelveBooks } from './shelved-books.ts'
import type { Snapshots } from './snapshots.ts'
import { openSteward, type Steward } from './steward.ts'

/** The owners of those parts of the ledger that are this enforcer's. */
export type Treasury = {
  readonly lookAgain: () => void
  /** Keeps what the owners know on this disk. */
  readonly keep: () => Promise<void>
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
  const stewards = new Map<number, Kept>()
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
    if (known !== undefined) return known.steward
    const shelf = snapshots.shelf(booksName(partition), booksLimits)
    const { books, keep } = shelveBooks(partition, shelf)
    const steward = openSteward({
      log,
      name: `${life.producer}.${life.epoch}.${++opened}`,
      partition,
      settings,
      nodeAt,
      ends: async () => ends(owners === 'one' ? await log.partitions(topic) : [partition]),
      control,
      alerts,
      books,
    })
    steward.ended.catch(broken.reject)
    stewards.set(partition, { steward, shelf, keep, keeping: null })
    return steward
  }
  const ownerOf = ({ partition }: Partition): number => (owners === 'one' ? 0 : partition)
  const keep = async (one: Kept): Promise<void> => {
    for (let looks = 0; !one.steward.isQuiet(); looks++) {
      if (looks === looksForQuiet) return
      await sleep(lookForQuietMs)
    }
    if (![...stewards.values()].includes(one)) return
    one.keeping = one.keep().finally(() => {
      one.keeping = null
    })
    await one.keeping
  }
  const close = async ({ steward, shelf, keeping }: Kept): Promise<void> => {
    await steward.close()
    await keeping?.catch(() => {}) // told by `keep`
    shelf.close()
  }

  const worker: Worker = {
    overwritten: true,
    async assigned(at) {
      const { earliest } = await log.bounds(at)
      return Math.max(earliest, stewardOf(ownerOf(at)).owner.books.ledgerNext[at.partition] ?? 0)
    },
    async onBatch(batch) {
      stewardOf(ownerOf(batch)).read(batch)
    },
    async revoked(at) {
      const partition = ownerOf(at)
      const gone = stewards.get(partition)
      stewards.delete(partition)
      if (gone !== undefined) await close(gone)
    },
  }
  // Its first word does not wait for the first gateway's.
  if (owners === 'one') stewardOf(0)
  const consumer = log.consume(ledgerGroup, [topic], worker)

  return {
    ended: Promise.race([consumer.ended, broken.promise]),
    lookAgain() {
      for (const { steward } of stewards.values()) steward.lookAgain()
    },
    async keep() {
      for (const one of stewards.values()) await keep(one)
    },
    async close() {
      await consumer.close()
      const all = [...stewards.values()]
      stewards.clear()
      for (const one of all) await close(one)
    },
  }
}

/** An owner, and what it keeps. */
type Kept = Pick<ShelvedBooks, 'keep'> & {
  readonly steward: Steward
  readonly shelf: Shelf
  keeping: Promise<void> | null
}

/** An owner rests between two batches of decisions, for a moment; where it did not within a second, it is kept later. */
const looksForQuiet = 200
const lookForQuietMs = 5
