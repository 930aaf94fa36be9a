import type { MoneyDecision } from '../../../schemas/control.ts'
import { header } from '../../../schemas/envelope.ts'
import { decodeDecision, decodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { foldControl, foldLedger } from '../../core/money/booking.ts'
import { type Books, type NodeBook, openBooks } from '../../core/money/books.ts'
import { type Position, reaches } from '../../core/money/position.ts'
import type { LogRecord } from '../../io/log/port.ts'
import { type Caps, openCaps } from './caps.ts'
import { type Check, differ, leave, placeOf } from './check.ts'
import type { Drawer } from './drawer.ts'
import { capsKept, compareKept, type Kept } from './kept.ts'
import type { Cursor } from './reading.ts'
import { grantWrong, hasLateTruth, outOf, standingWrong } from './standing.ts'

/**
 * The owners' decisions, decided over again. Each names how much of the ledger it knew; the ledger is folded that far
 * and no further, and then it must say the same: the standing that it told, and that what it handed out was there.
 */
export type Ledger = {
  /** By owner. */
  readonly caps: readonly Caps[]
  /** The next record of control. */
  readonly decided: (record: LogRecord) => Promise<void>
  /** The rest of the ledger, behind the last decision. */
  readonly finish: () => Promise<void>
  /** When a gateway last spoke, Unix ms of its own clock; null where it never did. */
  readonly heardUntil: (gateway: string) => number | null
  /** Unix ms of the first message that is left of a ledger whose beginning is gone; 0 where all of it is there. */
  readonly begins: () => number
}

export function openLedger(options: {
  readonly check: Check
  /** One where the ledger is embedded, else one for each of its partitions. */
  readonly owners: number
  /** Of each partition of the ledger, with where it ends. */
  readonly cursors: ReadonlyMap<number, { readonly cursor: Cursor; readonly to: number }>
  /** Each record of the ledger is shown, as it is read. */
  readonly seen: (partition: number, record: LogRecord) => void
  /** Where its beginning is gone the ledger still tells what was spent, for all it tells is totals, but not what was known. */
  readonly isWhole: boolean
  /** What enforcers keep, by owner: where the ledger's beginning is gone, books go on from there. */
  readonly kept: ReadonlyMap<number, Kept>
  readonly checkKept: Check
  /** Whether records of control below this offset were given up: then nobody can say how it stood there. */
  readonly isCompacted: (below: number) => boolean
  readonly drawer: Drawer
}): Ledger {
  const { check, checkKept, owners, cursors, seen, kept, drawer } = options
  const isWhole = options.isWhole || kept.size === owners
  let begins = 0
  /** Limits above the one that is in force: leases lent under them may still be out. */
  const higher = new Map<string, number>()
  const mostOf = ({ node, limit, cap }: NodeBook): number | undefined => {
    // Of a run that lives by what it was born with nothing was decided: its cap is what its gateway said.
    const inForce = limit?.nanoUsd ?? cap?.limit_nano_usd
    return inForce === undefined ? undefined : Math.max(inForce, higher.get(node) ?? 0)
  }
  const caps = Array.from({ length: owners }, (_, partition) => {
    const from = options.isWhole ? undefined : kept.get(partition)
    return from === undefined ? openCaps(openBooks(partition), drawer.aside()) : capsKept(from)
  })
  /** Before these, books that go on from what was kept have it in them. */
  const begin = caps.map(({ books }) => books.controlNext)
  /** What enforcers keep, until the log is folded as far as they had read. */
  const unmet = new Map(options.isWhole ? kept : [])
  for (const one of caps)
    for (const book of one.all())
      if (outOf(book) > (mostOf(book) ?? Number.POSITIVE_INFINITY)) higher.set(book.node, outOf(book))
  const begun = new Set<number>()
  /** By gateway and partition: two partitions are not read equally far. */
  const heard = new Map<string, Map<number, number>>()

  const advance = async (partition: number, offset: number): Promise<void> => {
    const own = caps[owners === 1 ? 0 : partition]
    await cursors.get(partition)?.cursor.advance(offset, record => {
      seen(partition, record)
      const time = Date.parse(record.headers[header.time] ?? '') || 0
      if (!options.isWhole && !begun.has(partition)) begins = Math.max(begins, time)
      begun.add(partition)
      const message = decodeLedger(record)
      if (message !== null && 'gateway' in message) {
        const { gateway } = message
        heard.set(gateway, (heard.get(gateway) ?? new Map<number, number>()).set(partition, time))
      }
      if (message === null || own === undefined) return
      foldLedger(own.books, message, { partition, offset: record.offset })
      own.tidy()
    })
  }

  const reach = async (position: Position): Promise<void> => {
    for (const [partition, offset] of Object.entries(position)) await advance(Number(partition), offset)
  }

  /** Compares what an owner keeps with all that it knew and no more; `known`: what the next decision knew. */
  const meet = async (own: Caps, known: Position | null): Promise<void> => {
    const { partition } = own.books
    const one = unmet.get(partition)
    if (one === undefined) return
    unmet.delete(partition)
    const { ledgerNext, controlNext } = one.head
    if (options.isCompacted(controlNext))
      return leave(checkKept, `what owner ${partition} keeps: decisions that led to it were given up by compaction`)
    // Whoever was replaced may have heard more of the ledger than its follower had when that decided.
    const isBetween = (known === null || reaches(known, ledgerNext)) && reaches(ledgerNext, own.books.ledgerNext)
    if (!isBetween) return leave(checkKept, `what owner ${partition} keeps: others have gone on from elsewhere`)
    await reach(ledgerNext)
    compareKept(checkKept, one, own)
  }

  return {
    caps,
    async decided(record) {
      const decision = decodeDecision(record)
      const own = decision === null ? undefined : caps[decision.partition]
      if (decision === null || own === undefined || record.offset < (begin[decision.partition] ?? 0)) return
      const { books } = own
      const counts = isValid(books, decision)
      if (decision.type !== 'ledger.owned' && counts) {
        const { controlNext = Number.POSITIVE_INFINITY } = unmet.get(decision.partition)?.head ?? {}
        if (record.offset >= controlNext) await meet(own, decision.ledger_offsets)
        await reach(decision.ledger_offsets)
      }
      const why = counts ? standingWrong(own, decision) : null
      const before = decision.type === 'window.opened' ? own.look(decision.node)?.limit?.nanoUsd : undefined
      if (!foldControl(books, decision, record.offset)) return
      own.tidy()
      if (!isWhole) return
      check.compared += 1
      if (decision.type === 'window.opened') {
        const { node, limit_nano_usd: said } = decision
        const most = Math.max(before ?? 0, said, higher.get(node) ?? 0)
        if (most > (books.nodes.get(node)?.limit?.nanoUsd ?? most)) higher.set(node, most)
      }
      const wrong = why ?? grantWrong(books, decision, mostOf)
      const where = `${placeOf({ topic: topics.control.name, partition: 0 }, record.offset)} ${decision.type}`
      if (wrong !== null) differ(check, where, wrong)
    },
    begins: () => begins,
    heardUntil(gateway) {
      const times = heard.get(gateway)
      return times === undefined ? null : Math.min(...times.values())
    },
    async finish() {
      for (const own of caps) await meet(own, null)
      for (const [partition, { to }] of cursors) await advance(partition, to)
      if (!isWhole) return leave(check, 'decisions whose part of the ledger is no longer on the log')
      for (const own of caps)
        for (const book of own.all()) {
          const most = mostOf(book)
          check.compared += 1
          if (most !== undefined && outOf(book) > most && !hasLateTruth(book))
            differ(check, book.node, `${outOf(book)} are spent, presumed and lent of ${most} nano-dollars`)
        }
    },
  }
}

function isValid({ fence }: Books, { partition, owner, owner_epoch }: MoneyDecision): boolean {
  const last = fence.get(partition)
  return last?.owner === owner && last.epoch === owner_epoch
}
