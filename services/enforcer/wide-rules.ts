import type { Breakers } from '../../schemas/breakers.ts'
import { topics } from '../../schemas/topics.ts'
import { openRules, replace } from '../core/rules/rules.ts'
import { readInOrder, type Span } from '../io/log/in-order.ts'
import type { Batch, EventLog, Follower } from '../io/log/port.ts'
import { type JudgeOptions, openJudge } from './judge.ts'
import { remember, rulesLimits } from './remembered.ts'
import type { Snapshots } from './snapshots.ts'

/**
 * The rules that look further than one run: at an agent, a team, a tool … Events lie by the tree of their run, so of an
 * agent's each enforcer of several has some. One of them reads all, beside its share of the runs, and counts.
 *
 * Which one is no vote of its own: it is whoever has the first partition. While that changes hands two may count for a
 * moment, or a former one may not know yet; they come to the same signals by the same ids, and none of them stops twice.
 */
export type WideRules = {
  readonly ended: Promise<void>
  /** Another policy is in force. */
  readonly follow: (breakers: Breakers, version: string) => void
  readonly keep: () => Promise<void>
  /** Keeps what it knows, and lets go. */
  readonly close: () => Promise<void>
}

/**
 * Under which is marked from where an heir on another disk has to read, and in the note how far it was judged: what lies
 * in between it must know, and not say again. The group has no members.
 */
export const wideGroup = 'enforcer-wide-rules'
/** Whose owner reads everything. */
export const widePartition = 0

const topic = topics.events.name
const wideName = 'wide-rules-2'

/** An heir with an empty disk reads at least so much again: three times the longest window that rules come with. */
const readAgainMs = 900_000

export async function openWideRules({
  log,
  snapshots,
  policy,
  ...judging
}: Omit<JudgeOptions, 'rules' | 'acts'> & {
  readonly log: EventLog
  readonly snapshots: Snapshots
  readonly policy: { readonly breakers: Breakers; readonly policyVersion: string }
}): Promise<WideRules> {
  const rules = openRules(policy.breakers, policy.policyVersion, 'wide')
  const shelf = snapshots.shelf(wideName, rulesLimits)
  const remembered = remember(rules, shelf)
  const judge = openJudge({ ...judging, rules, acts: false })
  /** By partition: how far it was read here, and how far it was judged, here or by whoever counted before. */
  const read = new Map<number, number>()
  const judged = new Map<number, number>()
  /** Where an heir on another disk begins. */
  let begin = new Map<number, number>()

  const spanOf = async (partition: number): Promise<Span> => {
    const at = { topic, partition }
    const [mark, { earliest, end }] = await Promise.all([log.committed(wideGroup, at), log.bounds(at)])
    const from = mark === null ? earliest : Math.max(earliest, remembered.offsets[partition] ?? mark.offset)
    begin.set(partition, mark?.offset ?? from)
    read.set(partition, from)
    judged.set(partition, Number(mark?.note ?? 0))
    return { ...at, from, end }
  }
  const mark = async (): Promise<void> => {
    const marks = Array.from(judged, ([partition, upTo]) =>
      log.commit(wideGroup, { topic, partition }, { offset: begin.get(partition) ?? 0, note: `${upTo}` }),
    )
    await Promise.all(marks)
  }
  const spans = await Promise.all((await log.partitions(topic)).map(spanOf))
  await mark()
  /** Where it will begin, once this is old enough. */
  let later = { at: Date.now(), offsets: new Map(read) }

  /** A batch on its way, as the enforcer has it for its own. Where one fails, nothing is kept any more. */
  let underWay: Promise<unknown> | null = null
  const take = async (batch: Batch): Promise<void> => {
    const { partition, records } = batch
    const before = judged.get(partition) ?? 0
    const judging = judge.read(batch, before)
    underWay = judging
    const hasDecided = await judging
    underWay = null
    const next = (records.at(-1)?.offset ?? 0) + 1
    read.set(partition, next)
    judged.set(partition, Math.max(before, next))
    // Whoever reads this again may find the line crossed by another event of the same moment, and would say it again.
    if (hasDecided) await mark().catch(() => {}) // it is marked with the next keep
  }

  const keepNow = async (): Promise<void> => {
    while (underWay !== null) await underWay
    const offsets = new Map(read)
    await remembered.keep(Object.fromEntries(offsets))
    if (Date.now() - later.at > Math.max(readAgainMs, longestWindowMs(rules.policy))) {
      begin = later.offsets
      later = { at: Date.now(), offsets }
    }
    await mark()
  }
  let keeping: Promise<void> = Promise.resolve()
  const keep = (): Promise<void> => {
    keeping = keeping.catch(() => {}).then(keepNow) // that it failed was told to whoever asked for it
    return keeping
  }

  const stop = new AbortController()
  let follower: Follower | null = null
  const run = async (): Promise<void> => {
    await readInOrder(log, spans, take, stop.signal)
    if (stop.signal.aborted) return
    const from = Array.from(read, ([partition, offset]) => ({ topic, partition, offset }))
    follower = log.follow(topic, { from, overwritten: true, onBatch: take })
    await follower.ended
  }
  const ended = run()
  return {
    ended,
    follow: (breakers, version) => replace(rules, breakers, version),
    keep,
    async close() {
      stop.abort()
      await follower?.close()
      await ended.catch(() => {}) // told by `ended`
      await keep().catch(() => {}) // what lies between is read again, to the same end
      shelf.close()
    },
  }
}

function longestWindowMs(policy: Breakers): number {
  const windows = Object.values(policy).map(knobs =>
    knobs !== null && 'window' in knobs && typeof knobs.window === 'number' ? knobs.window : 0,
  )
  return Math.max(...windows)
}
