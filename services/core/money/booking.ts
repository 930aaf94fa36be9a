import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LeaseReport, LeaseRequested, LedgerMessage, Life, SpendCorrected } from '../../../schemas/ledger.ts'
import { type Books, change, leaseOf, lifeKey, lifeOf, nodeOf, partOf, rebook } from './books.ts'
import { silentOf } from './budget.ts'
import { passes } from './fence.ts'
import { furthest, type Place, past } from './position.ts'

/** Takes the next message of the ledger. One from before `ledgerNext` changes nothing. */
export function foldLedger(books: Books, message: LedgerMessage, at: Place): void {
  books.ledgerNext = past(books.ledgerNext, at)
  switch (message.type) {
    case 'lease.requested':
      takeAsk(books, message)
      return
    case 'lease.settled':
    case 'lease.returned':
      for (const report of message.reports) takeReport(books, message, report)
      return
    case 'gateway.heartbeat': {
      const life = lifeOf(books, message)
      if (message.beat <= life.beat) return
      life.beat = message.beat
      books.unheard.add(lifeKey(message))
      return
    }
    case 'spend.corrected':
      takeCorrection(books, message)
      return
    default:
      message satisfies never
  }
}

/** Takes the next record of control; false where it is void or of another partition. */
export function foldControl(books: Books, record: MoneyDecision, offset: number): boolean {
  books.controlNext = Math.max(books.controlNext, offset + 1)
  if (record.partition !== books.partition || !passes(books.fence, record)) return false
  apply(books, record)
  return true
}

/** A decision as it changes the books: of the owner itself at once, of every other reader where it stands on control. */
export function apply(books: Books, record: MoneyDecision): void {
  books.named = furthest(books.named, record.ledger_offsets)
  switch (record.type) {
    case 'ledger.owned':
    case 'lease.recalled':
      return
    case 'window.opened': {
      const book = nodeOf(books, record.node)
      if (record.version <= (book.limit?.version ?? -1)) return
      const { version, limit_nano_usd: nanoUsd, opens_at: opensAt, closes_at: closesAt } = record
      book.limit = { version, nanoUsd, opensAt, closesAt }
      books.dirty.add(record.node)
      return
    }
    case 'lease.granted':
      change(books, record.node, record, lease => {
        const by = nodeOf(books, record.node).mintedBy
        // The first of whoever named the run is its birthright.
        if (lease.granted === 0 && by !== null && lifeKey(by) === lifeKey(record))
          lease.silent = silentOf(record.granted_nano_usd)
        lease.granted = Math.max(lease.granted, record.granted_nano_usd)
      })
      answer(books, record.node, record, record.ask)
      return
    case 'budget.exhausted': {
      const book = nodeOf(books, record.node)
      book.exhausted = Math.min(book.exhausted ?? record.asked_nano_usd, record.asked_nano_usd)
      answer(books, record.node, record, record.ask)
      return
    }
    case 'budget.balance':
      nodeOf(books, record.node).exhausted = null
      return
    case 'budget.threshold':
      nodeOf(books, record.node).alerted.add(record.threshold)
      return
    case 'gateway.heard': {
      const life = lifeOf(books, record)
      life.acknowledged = Math.max(life.acknowledged, record.beat)
      return
    }
    case 'gateway.expired': {
      const life = lifeOf(books, record)
      if (life.ended !== 'no') return
      const nodes = [...life.nodes].map(node => [node, partOf(nodeOf(books, node).leases.get(lifeKey(life)))] as const)
      life.ended = record.keeps_lease ? 'kept' : 'released'
      for (const [node, before] of nodes) rebook(books, node, lifeKey(life), before)
      books.unheard.delete(lifeKey(life))
      return
    }
    default:
      record satisfies never
  }
}

function takeAsk(books: Books, ask: LeaseRequested): void {
  bear(books, ask)
  const lease = leaseOf(books, ask.node, ask)
  if (ask.ask <= lease.read) return
  lease.read = ask.ask
  books.dirty.add(ask.node)
  // An ask that was answered before this reader came to it is not answered twice. One that replaces another keeps its turn.
  const { asks } = nodeOf(books, ask.node)
  if (ask.ask > lease.answered) asks.set(lifeKey(ask), ask)
}

function takeReport(books: Books, life: Life, report: LeaseReport): void {
  bear(books, report)
  change(books, report.node, life, lease => {
    lease.spent = Math.max(lease.spent, report.spent_nano_usd)
    lease.beyond = Math.max(lease.beyond, report.beyond_nano_usd)
    lease.returned = Math.max(lease.returned, report.returned_nano_usd)
    lease.final ||= report.final === true
    if (report.report <= lease.report) return
    lease.report = report.report
    lease.held = report.held_nano_usd
  })
}

function takeCorrection(books: Books, { node, source, correction, total_nano_usd: total }: SpendCorrected): void {
  const book = nodeOf(books, node)
  const before = book.corrections.get(source)
  if (before !== undefined && correction <= before.correction) return
  book.corrections.set(source, { correction, total })
  book.spent += total - (before?.total ?? 0)
  books.dirty.add(node)
}

function bear(books: Books, said: LeaseRequested | LeaseReport): void {
  const book = nodeOf(books, said.node)
  if (said.cap !== undefined && said.cap.version > (book.cap?.version ?? -1)) {
    book.cap = said.cap
    books.dirty.add(said.node)
  }
  if (said.minted_by === undefined) return
  book.mintedBy ??= said.minted_by
  // Whoever may spend without asking has to be counted, also where nobody has heard of it.
  lifeOf(books, book.mintedBy)
  const birthright = said.birthright_nano_usd ?? 0
  if (birthright <= book.birthright) return
  book.birthright = birthright
  change(books, said.node, book.mintedBy, lease => {
    lease.silent = Math.max(lease.silent, silentOf(birthright))
    lease.granted = Math.max(lease.granted, birthright)
  })
}

function answer(books: Books, node: string, to: Life, ask: number): void {
  const lease = leaseOf(books, node, to)
  lease.answered = Math.max(lease.answered, ask)
  const { asks } = nodeOf(books, node)
  const waiting = asks.get(lifeKey(to))
  if (waiting !== undefined && waiting.ask <= lease.answered) asks.delete(lifeKey(to))
}
