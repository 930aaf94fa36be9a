import type { LeaseReport, LedgerMessage, Life } from '../../../schemas/ledger.ts'
import { decodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { lastWords } from '../../core/money/purse.ts'
import type { EventLog } from '../../io/log/port.ts'

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
  /** It was under way when its life ended. */
  readonly wasOpen: boolean
  readonly nodes: readonly string[]
  readonly costNanoUsd: number
  readonly endedAt: number | null
}

/** Gives the reports to be written, in the names of those lives. */
export async function closeFormer(
  log: EventLog,
  partition: number,
  gateway: string,
  calls: readonly FormerCall[],
): Promise<readonly LeaseReport[]> {
  const written = await lastReports(log, partition)
  const isOpen = (report: LeaseReport): boolean => report.final !== true
  const byEpoch = Map.groupBy([...written.values(), ...unheard(written, gateway, calls)].filter(isOpen), it => it.epoch)
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

/**
 * What a life never said: the process may die when a call is in its events and before its hold is on the ledger. Saying it
 * twice does no harm, for these are totals too.
 */
function unheard(
  written: ReadonlyMap<string, LeaseReport>,
  gateway: string,
  calls: readonly FormerCall[],
): readonly LeaseReport[] {
  const found = new Map<string, LeaseReport>()
  for (const { epoch, nodes, costNanoUsd } of calls.filter(call => call.wasOpen))
    for (const node of nodes) {
      const key = keyOf({ gateway, epoch, node })
      const known = found.get(key) ?? unspent({ gateway, epoch, node })
      if (!written.has(key)) found.set(key, { ...known, held_nano_usd: known.held_nano_usd + costNanoUsd })
    }
  return [...found.values()]
}

const keyOf = ({ gateway, epoch, node }: Life & { readonly node: string }): string => `${gateway}.${epoch} ${node}`

/** The last word of each life at each node. */
async function lastReports(
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
        const key = keyOf(message)
        if (message.type !== 'lease.requested') last.set(key, message)
        else if (!last.has(key)) last.set(key, unspent(message))
      }
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  return last
}

/** Of a life that has only asked. */
const unspent = ({ gateway, epoch, node }: Life & { readonly node: string }) =>
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
