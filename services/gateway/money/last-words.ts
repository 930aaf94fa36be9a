import type { LeaseReport, Life } from '../../../schemas/ledger.ts'
import { decodeLedger } from '../../../schemas/money.ts'
import { topics } from '../../../schemas/topics.ts'
import { lifeKey } from '../../core/money/books.ts'
import { lastWords, reportsIn, unspent } from '../../core/money/reports.ts'
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

/** How a life stood at a node as it last said, and where its own events stood then. */
type Word = Life & { readonly report: LeaseReport; readonly eventsOffset: number }

/** Gives what is to be said in the names of those lives. */
export async function closeFormer(
  log: EventLog,
  partition: number,
  gateway: string,
  calls: readonly FormerCall[],
): Promise<readonly (Life & { readonly report: LeaseReport })[]> {
  const { words, toldTo } = await lastReports(log, partition)
  const isOpen = ({ report }: Word): boolean => report.final !== true
  const byEpoch = Map.groupBy(
    [...words.values(), ...unheard(words, toldTo, gateway, calls)].filter(isOpen),
    it => it.epoch,
  )
  return [...byEpoch].flatMap(([epoch, words]) => {
    const last = new Map(words.map(word => [word.report.node, word]))
    const truths = new Map(words.map(({ report }) => [report.node, report.spent_nano_usd]))
    for (const call of calls)
      for (const node of call.epoch === epoch ? call.nodes : [])
        if (call.endedAt === null || call.endedAt >= (last.get(node)?.eventsOffset ?? 0))
          truths.set(node, (truths.get(node) ?? 0) + call.costNanoUsd)
    const reports = words.map(({ report }) => report)
    return lastWords(reports, truths).map(report => ({ gateway, epoch, report }))
  })
}

/**
 * Nodes of which a life never said a word: most calls need none before their provider is asked, and the process may die
 * before it tells what they came to. Saying it twice does no harm, for these are totals too.
 */
function unheard(
  words: ReadonlyMap<string, Word>,
  toldTo: ReadonlyMap<string, number>,
  gateway: string,
  calls: readonly FormerCall[],
): readonly Word[] {
  const found = new Map<string, Word>()
  for (const { epoch, nodes, costNanoUsd, endedAt, wasOpen } of calls) {
    const life = { gateway, epoch }
    const eventsOffset = toldTo.get(lifeKey(life)) ?? 0
    // What ended before was told, and is no longer on the part of the ledger that is read.
    if (!wasOpen && endedAt !== null && endedAt < eventsOffset) continue
    for (const node of nodes) {
      const key = keyOf(life, node)
      const held = (found.get(key)?.report.held_nano_usd ?? 0) + costNanoUsd
      const report = { ...unspent(node), held_nano_usd: held }
      if (!words.has(key)) found.set(key, { ...life, report, eventsOffset })
    }
  }
  return [...found.values()]
}

const keyOf = (life: Life, node: string): string => `${lifeKey(life)} ${node}`

/** The last word of each life at each node, and up to which of its events it had told of all nodes. */
async function lastReports(log: EventLog, partition: number) {
  const { name: topic } = topics.ledger
  const words = new Map<string, Word>()
  const toldTo = new Map<string, number>()
  if (!(await log.partitions(topic)).includes(partition)) return { words, toldTo }
  const at = { topic, partition }
  const { earliest, end } = await log.bounds(at)
  const mark = (await log.committed(closingGroup, at))?.offset ?? earliest
  const follower = log.follow(topic, {
    from: [{ ...at, offset: Math.min(Math.max(mark, earliest), end) }],
    partitions: [partition],
    onBatch({ records }) {
      for (const record of records) {
        const message = decodeLedger(record)
        if (message === null || !('gateway' in message)) continue
        const { gateway, epoch } = message
        const eventsOffset = ('reports' in message ? message.events_offset : undefined) ?? 0
        if ('reports' in message && message.is_all === true) toldTo.set(lifeKey(message), eventsOffset)
        for (const report of reportsIn(message)) {
          const key = keyOf(message, report.node)
          if (report.report > 0 || !words.has(key)) words.set(key, { gateway, epoch, report, eventsOffset })
        }
      }
    },
  })
  follower.ended.catch(() => {}) // told by `caughtUp`
  await follower.caughtUp
  await follower.close()
  return { words, toldTo }
}
