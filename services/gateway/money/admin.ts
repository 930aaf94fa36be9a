import type { FastifyInstance } from 'fastify'
import type { Balance } from '../../../schemas/balance.ts'
import { balancesOf } from '../../core/money/balances.ts'
import type { EventLog } from '../../io/log/port.ts'
import type { LivePolicy } from '../../io/policy/follow.ts'
import { type BooksView, followBooks, readWithin } from './books-view.ts'

export type BudgetsAdmin = { readonly log: EventLog; readonly live: LivePolicy; readonly ledgerOwners: number }

/** A page that shows them asks every second or so; who asked once does not keep a gateway reading the ledger for ever. */
const keptMs = 60_000

/** Whoever administers waits for ten seconds at most. A ledger that takes longer goes on being read meanwhile. */
const patienceMs = 5_000

/** `GET /admin/budgets`: how each cap stands now. The ledger is read from the first time that somebody asks. */
export function budgetRoutes(admin: FastifyInstance, { log, live, ledgerOwners }: BudgetsAdmin): void {
  let view: BooksView | null = null
  let unasked: NodeJS.Timeout | undefined
  const close = async (): Promise<void> => {
    clearTimeout(unasked)
    const last = view
    view = null
    await last?.close()
  }
  const asked = (): BooksView => {
    clearTimeout(unasked)
    unasked = setTimeout(() => void close(), keptMs).unref()
    if (view !== null) return view
    const opened = followBooks(log, ledgerOwners)
    // One that broke is no longer true: the next to ask opens another.
    opened.ended.catch(() => {
      if (view === opened) void close()
    })
    view = opened
    return opened
  }
  admin.addHook('onClose', close)
  admin.get('/budgets', async (): Promise<{ readonly budgets: readonly Balance[] }> => {
    const view = asked()
    await readWithin(view, patienceMs)
    return { budgets: balancesOf(view.books(), live.config(), Date.now()) }
  })
}
