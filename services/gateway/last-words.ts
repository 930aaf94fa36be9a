import type { LeaseReport, LedgerMessage } from '../../schemas/ledger.ts'
import { decodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { lastWords } from '../core/purse.ts'
import type { EventLog } from '../io/log/port.ts'

/**
 * A gateway that starts on its data directory speaks for its former lives: it says what they spent and that they spend no
 * more, so that what they were lent is free at once and not when their term is over.
 *
 * What a life had reported stands on its ledger; what it admitted and ended since stands in its events. An admission
 * without an end is spent at its bound.
 */
export const closingGroup = 'gateway-closing'

/** A call of a former life, as its events tell it. `endedAt`: the offset of its end; null where it had none. */
export type FormerCall = {
  readonly requestId: string
  /** Of the lease that it was held by. */
  readonly epoch: number
  /** It goes on in the background. */
  readonly isQueued: boolean
  readonly nodes: readonly string[]
  readonly costNanoUsd: number
  readonly endedAt: number | null
}

/** Gives the reports to be written, in the names of those lives. */
export async function closeFormer(
  log: EventLog,
  partition: number,
  calls: readonly FormerCall[],
): Promise<readonly LeaseReport[]> {
  const written = await openReports(log, partition)
  const byEpoch = Map.groupBy(written.values(), report => report.epoch)
  return [...byEpoch].flatMap(([epoch, reports]) => {
    const last = new Map(reports.map(report => [report.node, report]))
    const truths = new Map(reports.map(report => [report.node, report.spent_nano_usd]))
    for (const call of calls)
      for (const node of call.epoch === epoch ? call.nodes : [])
        if (call.endedAt === null || call.endedAt >= (last.get(node)?.events_offset ?? 0))
          truths.set(node, (truths.get(node) ?? 0) + call.costNanoUsd)
    return lastWords(reports, truths)
  })
}

/** The last word of each life at each node, but for those that were their very last. */
async function openReports(
  log: EventLog,
  partition: number,
): Promise<ReadonlyMap<string, LedgerMessage & LeaseReport>> {
  const { name: topic } = topics.ledger
  const last = new Map<string, LeaseReport>()
  if (!(await log.partitions(topic)).includes(partition)) return last
  const at = { topic, partition }
  const { earliest, end } = await log.bounds(at)
  const mark = (await log.committed(closingGroup, at))?.offset ?? earliest
  const follower = log.follow(topic, {
    from: [{ ...at, offset: Math.min(Math.max(mark, earliest), end) }],
    partitions: [partition],
    onBatch({ records }) {
      for (const record of records) {
        const message = decodeLedger(record)
        if (message === null || !('node' in message) || message.type === 'spend.corrected') continue
        const key = `${message.gateway}.${message.epoch} ${message.node}`
        if (message.type !== 'lease.requested') last.set(key, message)
        else if (!last.has(key)) last.set(key, unspent(message))
      }
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  for (const [key, report] of last) if (report.final === true) last.delete(key)
  return last
}

/** Of a life that has only asked. */
const unspent = ({ gateway, epoch, node }: LeaseReport | Extract<LedgerMessage, { type: 'lease.requested' }>) =>
  ({
    type: 'lease.settled',
    gateway,
    epoch,
    node,
    report: 0,
    spent_nano_usd: 0,
    beyond_nano_usd: 0,
    returned_nano_usd: 0,
    held_nano_usd: 0,
  }) as const
