import type { MoneyDecision } from '../../../schemas/control.ts'
import { header } from '../../../schemas/envelope.ts'
import { decodeDecision, decodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { foldControl, foldLedger } from '../../core/money/booking.ts'
import { type Books, lifeKey, type NodeBook, openBooks } from '../../core/money/books.ts'
import { booksFrom, type KeptBooks } from '../../core/money/books-kept.ts'
import { birthrightOf } from '../../core/money/budget.ts'
import type { LogRecord } from '../../io/log/port.ts'
import { type Check, differ, leave, placeOf } from './check.ts'
import { openKept } from './kept.ts'
import type { Cursor } from './reading.ts'

/**
 * The owners' decisions, decided over again. Each names how much of the ledger it knew; the ledger is folded that far
 * and no further, and then it must say the same: the standing that it told, and that what it handed out was there.
 */
export type Ledger = {
  /** By owner. */
  readonly books: readonly Books[]
  /** The next record of control. */
  readonly decided: (record: LogRecord) => Promise<void>
  /** The rest of the ledger, behind the last decision. */
  readonly finish: (isCompacted: boolean) => Promise<void>
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
  readonly kept: ReadonlyMap<number, KeptBooks>
  readonly checkKept: Check
}): Ledger {
  const { check, owners, cursors, seen, kept } = options
  const isWhole = options.isWhole || kept.size === owners
  let begins = 0
  const books = Array.from({ length: owners }, (_, partition) => {
    const from = options.isWhole ? undefined : kept.get(partition)
    return from === undefined ? openBooks(partition) : booksFrom(from)
  })
  /** Before these, books that go on from what was kept have it in them. */
  const begin = books.map(one => one.controlNext)
  const shadows = new Map(
    options.isWhole ? [...kept].map(([owner, one]) => [owner, openKept(options.checkKept, one)]) : [],
  )
  /** The highest limit that a node ever had: leases lent under it may still be out when it is lowered. */
  const highest = new Map<string, number>()
  const begun = new Set<number>()
  /** By gateway and partition: two partitions are not read equally far. */
  const heard = new Map<string, Map<number, number>>()

  const advance = async (partition: number, offset: number): Promise<void> => {
    const own = books[owners === 1 ? 0 : partition]
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
      foldLedger(own, message, { partition, offset: record.offset })
      shadows.get(own.partition)?.told(message, { partition, offset: record.offset })
    })
    for (const one of books) {
      one.dirty.clear()
      one.unheard.clear()
    }
  }

  return {
    books,
    async decided(record) {
      const decision = decodeDecision(record)
      const own = decision === null ? undefined : books[decision.partition]
      if (decision === null || own === undefined || record.offset < (begin[own.partition] ?? 0)) return
      shadows.get(own.partition)?.decided(decision, record.offset)
      if (decision.type !== 'ledger.owned' && isValid(own, decision))
        for (const [partition, offset] of Object.entries(decision.ledger_offsets))
          await advance(Number(partition), offset)
      const where = `${placeOf({ topic: topics.control.name, partition: 0 }, record.offset)} ${decision.type}`
      const why = isValid(own, decision) ? standingWrong(own, decision) : null
      if (!foldControl(own, decision, record.offset) || !isWhole) return
      check.compared += 1
      if (decision.type === 'window.opened')
        highest.set(decision.node, Math.max(highest.get(decision.node) ?? 0, decision.limit_nano_usd))
      const wrong = why ?? grantWrong(own, decision, highest)
      if (wrong !== null) differ(check, where, wrong)
    },
    begins: () => begins,
    heardUntil(gateway) {
      const times = heard.get(gateway)
      return times === undefined ? null : Math.min(...times.values())
    },
    async finish(isCompacted) {
      for (const [partition, { to }] of cursors) await advance(partition, to)
      // Of a control that was compacted nobody can say how it stood then.
      if (!isCompacted) for (const shadow of shadows.values()) shadow.compare()
      if (!isWhole) leave(check, 'decisions whose part of the ledger is no longer on the log')
      if (!isWhole) return
      for (const { nodes } of books)
        for (const book of nodes.values()) {
          // Of a run that lives by what it was born with nothing was decided: its cap is what its gateway said.
          const most = highest.get(book.node) ?? book.cap?.limit_nano_usd
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

/** What takes from a cap, but for what providers billed beyond the holds. */
const outOf = ({ spent, beyond, presumed, leased }: NodeBook): number => spent - beyond + presumed + leased

/** An epoch that was ended told afterwards what it had spent: that is the one sum that can pass a cap (decision 010). */
const hasLateTruth = ({ leases }: NodeBook): boolean => [...leases.values()].some(({ life }) => life.ended !== 'no')

/** What a decision says of a node, against what the log says there. */
function standingWrong(books: Books, decision: MoneyDecision): string | null {
  switch (decision.type) {
    case 'budget.exhausted':
    case 'budget.balance':
    case 'budget.threshold': {
      const book = books.nodes.get(decision.node)
      const pairs = [
        ['spent', decision.spent_nano_usd, book?.spent ?? 0],
        ['presumed', decision.presumed_nano_usd, book?.presumed ?? 0],
        ['limit', decision.limit_nano_usd, book?.limit?.nanoUsd ?? 0],
      ] as const
      const wrong = pairs.find(([, said, folded]) => said !== folded)
      if (wrong !== undefined) return `at ${decision.node} it says ${wrong[0]} ${wrong[1]}, the log says ${wrong[2]}`
      if (decision.type !== 'budget.exhausted') return null
      const {
        spent_nano_usd: spent,
        presumed_nano_usd: presumed,
        asked_nano_usd: asked,
        limit_nano_usd: limit,
      } = decision
      return spent + presumed + asked > limit
        ? null
        : `at ${decision.node} ${asked} nano-dollars were refused that fit: ${spent} spent, ${presumed} presumed of ${limit}`
    }
    default:
      return null
  }
}

/** Whether what was lent was there to be lent. */
function grantWrong(books: Books, decision: MoneyDecision, highest: ReadonlyMap<string, number>): string | null {
  if (decision.type !== 'lease.granted') return null
  const book = books.nodes.get(decision.node)
  if (book === undefined || book.limit === null) return null
  const most = highest.get(decision.node) ?? book.limit.nanoUsd
  // By birth a life may spend before it is heard of; what it has of a cap that was lowered since, it has.
  const isBirthright =
    book.mintedBy !== null &&
    lifeKey(book.mintedBy) === lifeKey(decision) &&
    decision.granted_nano_usd <= Math.max(book.birthright, birthrightOf(most))
  const limit = isBirthright ? most : book.limit.nanoUsd
  return outOf(book) <= limit || (isBirthright && hasLateTruth(book))
    ? null
    : `at ${decision.node} a lease was granted that was not there: ${outOf(book)} out of ${limit} nano-dollars`
}
