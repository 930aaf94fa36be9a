import type { LeaseReport, LeaseReports, LedgerMessage, Life } from '../../../schemas/ledger.ts'

/** A report to be told: whose, to which owner, and why. */
export type Due = {
  readonly life: Life
  readonly partition: number
  readonly type: 'lease.settled' | 'lease.returned'
  readonly report: LeaseReport
}

export type Outgoing = { readonly partition: number; readonly message: LedgerMessage }

/** Of one message: some ten kilobytes. */
const most = 100

/**
 * What is to be told at a time: of each life to each owner one message, so that a flood of calls is a handful of records.
 *
 * @param isAll of all nodes of that life: what is not named has nothing to tell
 */
export function messagesOf(dues: readonly Due[], isAll = false): readonly Outgoing[] {
  const out: { partition: number; message: LeaseReports & { reports: LeaseReport[] } }[] = []
  for (const { life, partition, type, report } of dues) {
    const open = out.findLast(
      ({ partition: to, message: { type: why, epoch, gateway } }) =>
        to === partition && why === type && epoch === life.epoch && gateway === life.gateway,
    )
    if (open !== undefined && open.message.reports.length < most) open.message.reports.push(report)
    else out.push({ partition, message: { type, ...life, reports: [report] } })
  }
  const last = out.at(-1)
  if (isAll && last !== undefined) last.message.is_all = true
  return out
}

/** What a message tells of nodes; whoever has only asked has spent nothing. */
export function reportsIn(message: LedgerMessage): readonly LeaseReport[] {
  if (message.type === 'lease.settled' || message.type === 'lease.returned') return message.reports
  if (message.type !== 'lease.requested') return []
  return [unspent(message.node)]
}

export const unspent = (node: string): LeaseReport => ({
  node,
  report: 0,
  spent_nano_usd: 0,
  beyond_nano_usd: 0,
  returned_nano_usd: 0,
  held_nano_usd: 0,
})

/** The last report of each node: the only one that says how it stands. */
export function lastOf(reports: Iterable<LeaseReport>): ReadonlyMap<string, LeaseReport> {
  const last = new Map<string, LeaseReport>()
  for (const report of reports) if (report.report >= (last.get(report.node)?.report ?? 0)) last.set(report.node, report)
  return last
}

/**
 * The last words of an epoch whose process died, from what it wrote itself: what was under way counts at its bound, or at
 * `truths` (the whole spend of a node, where the record of its calls tells), the rest goes back. All of them are final, so
 * their order does not matter.
 */
export const lastWords = (
  written: Iterable<LeaseReport>,
  truths: ReadonlyMap<string, number> = new Map(),
): readonly LeaseReport[] =>
  Array.from(lastOf(written).values(), report => {
    const atBound = report.spent_nano_usd + report.held_nano_usd
    const spent = Math.max(report.spent_nano_usd, truths.get(report.node) ?? atBound)
    const beyond = report.beyond_nano_usd + Math.max(0, spent - atBound)
    const end = {
      spent_nano_usd: spent,
      beyond_nano_usd: beyond,
      held_nano_usd: 0,
      report: report.report + 1,
      final: true,
    }
    return { ...report, ...end }
  })
