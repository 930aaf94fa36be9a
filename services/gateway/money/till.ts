import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LedgerMessage, Life } from '../../../schemas/ledger.ts'
import {
  type Admission,
  admit,
  end,
  hear,
  isHeard,
  isUnpledged,
  mayStillSpend,
  outgoing,
  park,
  retire,
  settle,
  takeBack,
  wake,
} from '../../core/money/lease.ts'
import { isTight, openPurse, type Pocket, type Purse, type PurseSettings, type Toll } from '../../core/money/purse.ts'
import type { Outgoing } from '../../core/money/reports.ts'
import type { Recorder } from '../recorder.ts'
import { openUnwritten } from './unwritten.ts'

/**
 * Where the money of calls is held and settled: the gateway's purse, with the log it speaks to. A hold is on this disk
 * before its provider is called; settlements go along with the next word, at most some milliseconds later.
 */
export type Till = {
  /** Takes the holds of a call, if need be after a wait for others to settle. */
  admit(call: string, tolls: readonly Toll[]): Taken | Promise<Taken>
  /**
   * Once for each call admitted, with what it came to; `offset`: where its end stands among this gateway's events. Null
   * where that is no more than was held for it.
   */
  settle(call: string, costNanoUsd: number, offset: number | null): Overrun | null
  /** The offset behind all that this gateway's ledger has of what was said of holds. */
  readonly saidTo: () => number
  /** Whether money is held for a call, and may still be spent: to be asked again after any wait. */
  mayStillSpend(call: string): boolean
  /** The next records of control, in their order. */
  hear(decisions: readonly MoneyDecision[]): void
  /** Says again how each node stands; once that is on disk (true), nothing said before is needed any more. */
  restate(): Promise<boolean>
  /** That which money is lent to now: by its name runs are named. */
  readonly life: () => Life
  /** How many there are of them: runs that idle are not among them. */
  readonly nodes: () => number
  readonly figures: () => TillFigures
  close(): Promise<void>
}

/** An admitted call may go once `written` is there: at once where it is null; false: the hold could not be written. */
export type Taken =
  | { readonly verdict: 'admit'; readonly epoch: number; readonly written: Promise<boolean> | null }
  | Exclude<Admission, { readonly verdict: 'admit' | 'wait' }>

/** Of a call that cost more than was held for it. */
export type Overrun = { readonly heldNanoUsd: number; readonly boundNanoUsd: number }

export type TillFigures = {
  /** Calls that wait for money, and calls that hold some. */
  readonly waiting: number
  readonly holding: number
  readonly heldNanoUsd: number
  readonly leasedNanoUsd: number
  readonly spentNanoUsd: number
  /** Nodes with a lease, and for how long the idlest of them has not been used. */
  readonly leases: number
  readonly idlestLeaseMs: number
  /** For how long may be spent if nobody is heard any more; 0 where no term runs. */
  readonly termMs: number
  /** Calls that cost more than they could at most; and more than was held, where that was less and learned. */
  readonly boundViolations: number
  readonly overruns: number
}

const limits = {
  /** Settlements of so long go as one word; nobody waits for them. */
  soonMs: 100,
  /** A call that waits is looked at so often, for its patience may end with nobody saying anything. */
  lookMs: 100,
  /** Beats, asks that were lost. */
  tickMs: 1_000,
  /** Windows that closed, runs that idle, what was told ahead for nobody. */
  sweepTicks: 5,
  /** A disk that has not taken a hold by then takes calls no better. */
  writtenMs: 2_000,
  /** A call admitted a moment before its window closed may still be settled in it. */
  closedForMs: 120_000,
}

export function openTill(options: {
  readonly life: Life
  readonly recorder: Recorder<LedgerMessage>
  /** Of the ledger: one for each owner. */
  readonly partitions: readonly number[]
  /** A key that the log puts into this partition; null where the node's scope is the key. */
  readonly keyOf: (partition: number, node: string | null) => string
  readonly settings: PurseSettings
  /** Calls of former lives that go on in the background, by their id. */
  readonly owed: ReadonlyMap<string, { readonly nodes: readonly string[]; readonly boundNanoUsd: number }>
  /** Where this gateway's own events ended when its life began. */
  readonly eventsEnd: number
  /** After its epoch was ended a gateway that goes on needs a new one. */
  readonly nextLife: () => Life
  readonly now?: () => number
  readonly wallNow?: () => number
}): Till {
  const { recorder, partitions, keyOf, settings } = options
  const now = options.now ?? (() => performance.now())
  const wallNow = options.wallNow ?? Date.now
  let purse = openPurse(options.life, settings)
  /** The next epoch, taken up as soon as it may spend: the one before has too much behind it. */
  let next: Purse | null = null
  /** Epochs that were ended with calls under way: they still have to tell what these came to. */
  let former: Purse[] = []
  const waiting = new Map<string, (answer: Admission) => void>()
  let settledBefore = options.eventsEnd
  let violations = 0
  let overruns = 0

  let flushing: NodeJS.Immediate | null = null
  let later: NodeJS.Timeout | null = null
  let looking: NodeJS.Timeout | null = null
  /** To be called once what calls of this turn pledge was said. */
  let pledged: (() => void) | null = null
  /** Somebody, here or elsewhere, waits for what is to be said. */
  let isUrgent = false
  const unwritten = openUnwritten(now)
  let saidTo = 0

  const tell = ({ partition, message }: Outgoing): void => {
    const written = unwritten.say()
    recorder.tell(
      'reports' in message ? { ...message, events_offset: settledBefore } : message,
      keyOf(partition, 'node' in message ? message.node : null),
      offset => {
        saidTo = Math.max(saidTo, offset + 1)
        written()
      },
    )
  }

  const after = ({ fence }: Purse): Purse => openPurse(options.nextLife(), settings, new Map(fence))
  const purses = (): readonly Purse[] => (next === null ? [purse, ...former] : [purse, next, ...former])
  /** What waits goes on waiting in the new epoch, and what is under way ends in the old one. */
  const renew = (to: Purse): void => {
    end(purse)
    former.push(purse)
    const calls = [...purse.waiting]
    purse = to
    next = null
    for (const [call, { tolls }] of calls) {
      const answer = admit(purse, call, tolls, now())
      if (answer.verdict === 'wait') continue
      waiting.get(call)?.(answer)
      waiting.delete(call)
    }
  }

  /** Says what there is to say. */
  const speak = (): void => {
    if (later !== null) clearTimeout(later)
    later = null
    for (const each of purses())
      for (const said of outgoing(each, each.ended ? [] : partitions, now())) {
        isUrgent ||= isAwaited(said.message)
        tell(said)
      }
    pledged?.()
    pledged = null
    if (isUrgent) recorder.hurry()
    isUrgent = false
  }
  /** Calls that were read in the same turn speak together, when it ends. */
  const flush = (): void => {
    flushing ??= setImmediate(() => {
      flushing = null
      speak()
    })
  }
  const flushSoon = (tolls: readonly Toll[] = []): void => {
    if (purse.waiting.size > 0 || isTight(purse, tolls, now())) {
      isUrgent = true
      flush()
    } else later ??= setTimeout(speak, limits.soonMs)
  }

  const written = async (call: string, tolls: readonly Toll[]): Promise<boolean> => {
    const isSafe = await unwritten.all()
    const holder = purseOf(call)
    if (isSafe && holder !== null && mayStillSpend(holder, tolls, now())) return true
    if (holder !== null) settle(holder, call, 0)
    return false
  }
  const taken = (call: string, tolls: readonly Toll[]): Taken => {
    const { epoch } = purse.life
    if (isUnpledged(purse, tolls)) {
      pledged ??= unwritten.say()
      flush()
    } else flushSoon()
    // Where the log was told of as much before, this call is in the next report.
    return { verdict: 'admit', epoch, written: unwritten.isEmpty() ? null : written(call, tolls) }
  }
  const wait = async (call: string, tolls: readonly Toll[]): Promise<Taken> => {
    flush()
    looking ??= setTimeout(look, limits.lookMs)
    const answer = await new Promise<Admission>(resolve => waiting.set(call, resolve))
    if (answer.verdict === 'wait') throw new Error('a wait was answered with a wait')
    return answer.verdict === 'admit' ? taken(call, tolls) : answer
  }
  const purseOf = (call: string): Purse | null =>
    purse.calls.has(call) ? purse : (former.find(each => each.calls.has(call)) ?? null)

  /** A call of a former life that went on in the background was booked at its bound: now it is known what it came to. */
  const correct = (call: string, costNanoUsd: number): Overrun | null => {
    const owed = options.owed.get(call)
    if (owed === undefined) return null
    const total = costNanoUsd - owed.boundNanoUsd
    const correction = { type: 'spend.corrected', source: call, correction: 1, total_nano_usd: total } as const
    if (total !== 0) for (const node of owed.nodes) tell({ partition: 0, message: { ...correction, node } })
    return overrun(costNanoUsd, owed.boundNanoUsd)
  }
  /** `boundNanoUsd`: what it could cost at most, where less was held. */
  const overrun = (costNanoUsd: number, heldNanoUsd: number, boundNanoUsd = heldNanoUsd): Overrun | null => {
    if (costNanoUsd <= heldNanoUsd) return null
    if (costNanoUsd > boundNanoUsd) violations += 1
    else overruns += 1
    return { heldNanoUsd, boundNanoUsd }
  }

  const answerWaiting = (): void => {
    if (waiting.size === 0 && purse.waiting.size === 0) return
    for (const [call, answer] of wake(purse, now())) {
      waiting.get(call)?.(answer)
      waiting.delete(call)
    }
    if (waiting.size > 0) looking ??= setTimeout(look, limits.lookMs)
  }
  const look = (): void => {
    looking = null
    answerWaiting()
    flush()
  }

  /** Looks at each node, of which there may be many. */
  const sweep = (): void => {
    const isOver = ({ closesAt }: Pocket) => closesAt !== null && wallNow() > closesAt + limits.closedForMs
    for (const last of retire(purse, isOver)) tell(last)
    takeBack(purse, now())
    park(purse, now())
    if (purse.parked.size > settings.parkedMost) next ??= after(purse)
  }
  let ticks = 0
  const tick = setInterval(() => {
    if (++ticks % limits.sweepTicks === 0) sweep()
    former = former.filter(each => each.calls.size > 0 || each.dirty.size > 0)
    speak()
    unwritten.giveUp(now() - limits.writtenMs)
  }, limits.tickMs)
  speak() // the first beat: nothing is spent before it is acknowledged

  return {
    admit(call, tolls) {
      const answer = admit(purse, call, tolls, now())
      if (answer.verdict === 'admit') return taken(call, tolls)
      return answer.verdict === 'wait' ? wait(call, tolls) : answer
    },

    settle(call, costNanoUsd, offset) {
      if (offset !== null) settledBefore = Math.max(settledBefore, offset + 1)
      const holder = purseOf(call)
      const tolls = holder?.calls.get(call)
      if (holder === null || tolls === undefined) return correct(call, costNanoUsd)
      settle(holder, call, costNanoUsd)
      answerWaiting()
      flushSoon(tolls)
      // Held alike at each of them.
      return overrun(costNanoUsd, tolls[0]?.holdNanoUsd ?? 0, tolls[0]?.boundNanoUsd)
    },

    saidTo: () => saidTo,

    mayStillSpend(call) {
      const holder = purseOf(call)
      return holder !== null && mayStillSpend(holder, holder.calls.get(call) ?? [], now())
    },

    hear(decisions) {
      for (const decision of decisions) for (const each of purses()) hear(each, decision, now())
      if (purse.ended) renew(next ?? after(purse))
      else if (next !== null && isHeard(next, partitions, now())) renew(next)
      answerWaiting()
      if (purse.dirty.size > 0) flushSoon()
    },

    restate() {
      for (const each of purses())
        for (const pocket of each.pockets.values()) {
          pocket.isReported = false
          pocket.isBorn = false
          each.dirty.add(pocket)
        }
      speak()
      return unwritten.all()
    },

    life: () => purse.life,
    nodes: () => purse.pockets.size,

    figures() {
      const pockets = [...purse.pockets.values()]
      const leased = pockets.filter(pocket => leaseOf(pocket) > 0)
      const sum = (of: (pocket: Pocket) => number) => pockets.reduce((all, pocket) => all + of(pocket), 0)
      return {
        waiting: purse.waiting.size,
        holding: purse.calls.size,
        heldNanoUsd: sum(pocket => pocket.held),
        leasedNanoUsd: sum(leaseOf),
        spentNanoUsd: sum(pocket => pocket.spent),
        leases: leased.length,
        idlestLeaseMs: leased.reduce((idlest, pocket) => Math.max(idlest, now() - pocket.recentAt), 0),
        termMs: Math.max(0, Math.min(...[...purse.terms.values()].map(term => (term.endsAt ?? 0) - now()))),
        boundViolations: violations,
        overruns,
      }
    },

    async close() {
      clearInterval(tick)
      if (looking !== null) clearTimeout(looking)
      if (later !== null) clearTimeout(later)
      if (flushing !== null) clearImmediate(flushing)
      for (const each of purses()) for (const last of retire(each, () => true)) tell(last)
      await recorder.close()
    },
  }
}

/** An owner has to answer it, others can use what it gives back, or somebody looks at the cap that was just raised. */
const isAwaited = (message: LedgerMessage): boolean =>
  message.type !== 'lease.settled' || message.reports.some(({ cap }) => cap !== undefined && cap.version > 0)

/** What is lent and neither spent nor given back; what calls hold is part of it. */
const leaseOf = (pocket: Pocket): number =>
  Math.max(0, pocket.granted - pocket.returned - (pocket.spent - pocket.beyond))
