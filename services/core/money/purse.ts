import type { LeaseReport, LeaseRequested, Life, RunCap } from '../../../schemas/ledger.ts'
import type { BudgetNode } from './budget.ts'
import { birthrightOf, silentOf } from './budget.ts'
import type { Fence } from './fence.ts'
import type { Due } from './reports.ts'

/**
 * What one gateway epoch has of each cap. Money in a pocket was taken from the cap before it came here, so whoever spends
 * it asks nobody. One thread, no locks; times are milliseconds of the gateway's monotonic clock.
 */
export type Purse = {
  readonly life: Life
  readonly settings: PurseSettings
  readonly fence: Fence
  readonly terms: Map<number, Term>
  readonly pockets: Map<string, Pocket>
  /** Of runs that idle: nothing is lent to them, and they are as they were once they go on. */
  readonly parked: Map<string, Parked>
  /** Calls under way, by their id. */
  readonly calls: Map<string, readonly Toll[]>
  /** Calls that wait for money, in the order of their coming. */
  readonly waiting: Map<string, { readonly tolls: readonly Toll[]; readonly since: number }>
  /** Nodes at which a call waits: whoever comes later stands behind it. */
  readonly short: Set<string>
  /** Pockets of which the owner has to be told, and those that may want more. */
  readonly dirty: Set<Pocket>
  /** It read its own end. It settles what is under way and admits nothing. */
  ended: boolean
}

export type PurseSettings = {
  readonly termMs: number
  /** Several in a term, so that one that is lost does not end it. */
  readonly beatMs: number
  /** How long a call waits for others to settle. */
  readonly waitMs: number
  /** A flood that waits is refused rather than kept. */
  readonly waitingMost: number
  /** What is told ahead of calls, as a share of a burst; 0: each call's hold waits for a report of its own. */
  readonly aheadShare: number
  /** After so long without a call a run gives back what it was lent. */
  readonly idleMs: number
  /** Runs that idle are some 200 bytes each: with more of them a gateway goes on in a new epoch, which has none. */
  readonly parkedMost: number
}
export const usualSettings: PurseSettings = {
  termMs: 60_000,
  beatMs: 10_000,
  waitMs: 2_000,
  waitingMost: 10_000,
  aheadShare: 1 / 6,
  idleMs: 30_000,
  parkedMost: 200_000,
}

export type Term = {
  beat: number
  sentAt: number
  /** Beats that nobody has acknowledged: when each was sent. */
  readonly sent: Map<number, number>
  /** Null until the first was acknowledged. */
  endsAt: number | null
  /** When the owner was last heard, of anything. */
  heardAt: number
}

export type Pocket = {
  readonly node: string
  readonly partition: number
  mintedBy: Life | null
  /** Of a run: what whoever asks has to say of it. */
  cap: RunCap | null
  readonly birthright: number
  /** Its owner knows the cap and the birthright. */
  isBorn: boolean
  readonly closesAt: number | null
  granted: number
  spent: number
  beyond: number
  returned: number
  held: number
  /** What the last report said may be spent and held: up to there a call needs no report of its own. */
  declared: number
  /** Where it needs none either, for this run was named here. */
  silentTo: number
  report: number
  isReported: boolean
  hasReturned: boolean
  ask: { readonly ask: number; readonly needs: number; readonly wants: number; readonly at: number } | null
  asks: number
  answered: number
  /** What the owner said when it refused; null where it has not. */
  standing: { readonly limit: number; readonly spent: number } | null
  tightUntil: number
  /** Holds of the last seconds, fading: a burst. */
  recent: number
  recentAt: number
  lastHold: number
  /** What was spent in the last term, fading, since when that is counted, and up to which total. */
  pace: { readonly spent: number; readonly at: number; readonly since: number; readonly upTo: number } | null
  /** When a stock was asked for. */
  stockedAt: number
}

/** The running totals of a pocket, which go on where they were: granted, spent, beyond, returned, report, asks, answered. */
export type Parked = readonly [number, number, number, number, number, number, number]

/** What a call needs at one node of its path. `boundNanoUsd`: what it can cost at most, where less than that is held. */
export type Toll = BudgetNode & { readonly holdNanoUsd: number; readonly boundNanoUsd?: number }

/** `fence`: who owns what, where that was read before: an epoch that follows another reads on where that one stopped. */
export const openPurse = (life: Life, settings: PurseSettings = usualSettings, fence: Fence = new Map()): Purse => ({
  life,
  settings,
  fence,
  terms: new Map(),
  pockets: new Map(),
  parked: new Map(),
  calls: new Map(),
  waiting: new Map(),
  short: new Set(),
  dirty: new Set(),
  ended: false,
})

/** What the next call at this node may use. */
export const balance = (pocket: Pocket): number =>
  pocket.granted - pocket.returned - (pocket.spent - pocket.beyond) - pocket.held

/** Whether the owner has called money back at one of these nodes: then each settlement is waited for elsewhere. */
export const isTight = (purse: Purse, tolls: readonly Toll[], now: number): boolean =>
  tolls.some(({ node }) => now < (purse.pockets.get(node)?.tightUntil ?? now))

export function pocketOf(purse: Purse, toll: Toll): Pocket {
  const known = purse.pockets.get(toll.node)
  if (known !== undefined) {
    // One that was granted unasked did not say whose the run is.
    known.mintedBy ??= toll.mintedBy ?? null
    if (toll.version !== undefined && toll.version > (known.cap?.version ?? -1)) {
      known.cap = capIn(toll)
      known.isBorn = false
      known.isReported = false
      purse.dirty.add(known)
      // What the owner said of the former cap says nothing of this one.
      known.standing = null
    }
    return known
  }
  const { node, partition, closesAt, mintedBy } = toll
  const isMine = mintedBy?.gateway === purse.life.gateway && mintedBy.epoch === purse.life.epoch
  const birthright = isMine && toll.isNew === true ? birthrightOf(toll.limitNanoUsd) : 0
  const parked = purse.parked.get(node)
  if (parked !== undefined) purse.parked.delete(node)
  const [granted, spent, beyond, returned, report, asks, answered] = parked ?? [birthright, 0, 0, 0, 0, 0, 0]
  // Written out: there is one of these for each run, and to spread parts of it takes ten times as long.
  const pocket: Pocket = {
    node,
    partition,
    closesAt,
    mintedBy: mintedBy ?? null,
    cap: capIn(toll),
    birthright,
    isBorn: false,
    granted,
    spent,
    beyond,
    returned,
    held: 0,
    declared: spent - beyond,
    silentTo: silentOf(birthright),
    report,
    isReported: true,
    hasReturned: false,
    ask: null,
    asks,
    answered,
    standing: null,
    tightUntil: Number.NEGATIVE_INFINITY,
    recent: 0,
    recentAt: 0,
    lastHold: 0,
    pace: null,
    stockedAt: Number.NEGATIVE_INFINITY,
  }
  purse.pockets.set(node, pocket)
  return pocket
}

function capIn({ version, limitNanoUsd, opensAt, closesAt, alertAt }: Toll): RunCap | null {
  if (version === undefined) return null
  const alerts = alertAt === undefined || alertAt.length === 0 ? {} : { alert_at: alertAt }
  return { version, limit_nano_usd: limitNanoUsd, opens_at: opensAt, closes_at: closesAt, ...alerts }
}

export function termOf(purse: Purse, partition: number): Term {
  const known = purse.terms.get(partition)
  if (known !== undefined) return known
  const never = Number.NEGATIVE_INFINITY
  const term: Term = { beat: 0, sentAt: never, sent: new Map(), endsAt: null, heardAt: never }
  purse.terms.set(partition, term)
  return term
}

/** Whether its owner has to know more of it before a provider does: of a hold that nothing foresaw, or of another cap. */
export const isUntold = ({ spent, beyond, held, declared, silentTo, isBorn, cap }: Pocket): boolean =>
  spent - beyond + held > Math.max(declared, silentTo) || (!isBorn && cap !== null && cap.version > 0)

/**
 * The pocket as a report. `ahead`: what the next calls will hold is told with it, within what is lent, so that not each of
 * them waits for a report of its own; should this epoch die, so much more is presumed until its next life tells the truth.
 */
export function reportOf({ life }: Purse, pocket: Pocket, ahead: number, final = false): Due {
  const held = Math.max(pocket.held, Math.min(pocket.held + ahead, balance(pocket) + pocket.held))
  pocket.declared = pocket.spent - pocket.beyond + held
  pocket.silentTo = pocket.spent - pocket.beyond + silentOf(pocket.birthright)
  pocket.report += 1
  pocket.isReported = true
  const type = pocket.hasReturned ? 'lease.returned' : 'lease.settled'
  pocket.hasReturned = false
  const report: LeaseReport = {
    node: pocket.node,
    report: pocket.report,
    spent_nano_usd: pocket.spent,
    beyond_nano_usd: pocket.beyond,
    returned_nano_usd: pocket.returned,
    held_nano_usd: held,
  }
  if (!pocket.isBorn) Object.assign(report, birthOf(pocket))
  pocket.isBorn = true
  if (final) report.final = true
  return { life, partition: pocket.partition, type, report }
}

/** Of a run: its cap, and that whoever named it may have spent at it. */
export const birthOf = (pocket: Pocket): Pick<LeaseRequested, 'cap' | 'minted_by' | 'birthright_nano_usd'> => ({
  ...(pocket.cap === null ? {} : { cap: pocket.cap }),
  ...(pocket.mintedBy === null ? {} : { minted_by: pocket.mintedBy }),
  ...(pocket.birthright === 0 ? {} : { birthright_nano_usd: pocket.birthright }),
})
