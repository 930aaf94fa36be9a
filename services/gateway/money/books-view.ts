import { decodeDecision, decodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { foldControl, foldLedger } from '../../core/money/booking.ts'
import { type Books, openBooks } from '../../core/money/books.ts'
import { Fault } from '../../io/fault.ts'
import type { EventLog } from '../../io/log/port.ts'
import { isAnew } from '../../io/log/view.ts'

/** The books of all owners as whoever decides nothing reads them: the same fold, of the whole ledger and of control. */
export type BooksView = {
  books(): readonly Books[]
  /** Resolves when all was read that stood on both topics at the beginning. */
  readonly caughtUp: Promise<void>
  /** Rejects with what the log broke on. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

/** `owners`: one where the ledger is embedded, else one for each of its partitions. */
export function followBooks(log: EventLog, owners: number): BooksView {
  const books = Array.from({ length: owners }, (_, partition) => openBooks(partition))
  const noticed = (): void => {
    for (const one of books) {
      // Nobody here looks at what has changed.
      one.dirty.clear()
      one.unheard.clear()
    }
  }
  const ledger = log.follow(topics.ledger.name, {
    from: 'earliest',
    onBatch({ partition, records }) {
      const own = books[owners === 1 ? 0 : partition]
      if (own === undefined) return
      for (const record of records) {
        const message = decodeLedger(record)
        if (message !== null) foldLedger(own, message, { partition, offset: record.offset })
      }
      noticed()
    },
  })
  const control = log.follow(topics.control.name, {
    from: 'earliest',
    onBatch({ records }) {
      for (const record of records) {
        const decision = decodeDecision(record)
        const own = decision === null ? undefined : books[decision.partition]
        if (decision !== null && own !== undefined) foldControl(own, decision, record.offset)
      }
      noticed()
    },
  })
  const followers = [ledger, control]
  // Where nothing was ever spent, there may be no topic yet.
  const read = followers.map(({ caughtUp }) =>
    caughtUp.catch(error => (isAnew(error) ? undefined : Promise.reject(error))),
  )
  const caughtUp = Promise.all(read).then(() => {})
  const ended = Promise.all(followers.map(follower => follower.ended)).then(() => {})
  caughtUp.catch(() => {}) // for whoever waits for the other
  ended.catch(() => {})
  return {
    books: () => books,
    caughtUp,
    ended,
    close: async () => void (await Promise.all(followers.map(follower => follower.close()))),
  }
}

/** Throws the Fault `ledger_unread` where all has not been read by then. */
export async function readWithin({ caughtUp }: BooksView, ms: number): Promise<void> {
  const late = Promise.withResolvers<never>()
  const message = `The ledger has not been read to its end within ${ms / 1000} s; is the log there? If it is only long, ask again.`
  const timer = setTimeout(() => late.reject(new Fault('ledger_unread', message, { retriable: true })), ms)
  await Promise.race([caughtUp, late.promise]).finally(() => clearTimeout(timer))
}
