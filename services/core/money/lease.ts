import type { MoneyDecision } from '../../../schemas/control.ts'
import { birthrightOf, silentOf } from './budget.ts'
import { passes } from './fence.ts'
import { balance, birthOf, isUntold, type Pocket, type Purse, pocketOf, reportOf, type Toll, termOf } from './purse.ts'
import { type Due, messagesOf, type Outgoing } from './reports.ts'

/** Whether a call may spend. Only `exceeded` is final: the owner itself said so. */
export type Admission =
  | { readonly verdict: 'admit' }
  | { readonly verdict: 'wait' }
  | {
      readonly verdict: 'exceeded'
      readonly scope: string
      readonly limitNanoUsd: number
      readonly spentNanoUsd: number
      readonly askedNanoUsd: number
      readonly resetsAt: number | null
    }
  | { readonly verdict: 'contended'; readonly retryAfterMs: number }
  | { readonly verdict: 'log_unavailable' }

const limits = {
  /** A burst: what this gateway held at a node within about so long. */
  burstMs: 3_000,
  /** After a recall a gateway asks call by call for so long. */
  tightMs: 5_000,
  /** Of its cap, what a run asks for first: an eighth. */
  homeShare: 8,
  /** For a stock it is asked seldom: near the cap little or nothing comes of it. */
  stockEveryMs: 5_000,
  /** The pace of a node that was used for less than this is not known yet. */
  paceMs: 3_000,
  /** An ask or its answer was lost, or nobody owned the partition. */
  askAgainMs: 500,
  retryAfterMs: 1_000,
  /** Beats of which an acknowledgement is still of use: older ones ended long ago. */
  beats: 64,
}

const admitted: Admission = { verdict: 'admit' }
const wait: Admission = { verdict: 'wait' }

/** Takes the holds of a call at every node of its path, or none of them. A call that waits is answered by `wake`. */
export function admit(purse: Purse, call: string, tolls: readonly Toll[], now: number): Admission {
  const answer = attempt(purse, call, tolls, now)
  if (answer.verdict !== 'wait') return answer
  if (purse.waiting.size >= purse.settings.waitingMost)
    return { verdict: 'contended', retryAfterMs: limits.retryAfterMs }
  purse.waiting.set(call, { tolls, since: now })
  for (const toll of tolls) if (lacks(purse, toll)) purse.short.add(toll.node)
  return wait
}

/** Whether each of these owners has acknowledged it: then it may spend. */
export const isHeard = ({ terms }: Purse, partitions: readonly number[], now: number): boolean =>
  partitions.every(partition => now < (terms.get(partition)?.endsAt ?? Number.NEGATIVE_INFINITY))

/** Whether every term still runs: to be asked again just before the upstream is called, if anything was waited for. */
export const mayStillSpend = (purse: Purse, tolls: readonly Toll[], now: number): boolean =>
  !purse.ended && tolls.every(({ partition }) => now < (termOf(purse, partition).endsAt ?? Number.NEGATIVE_INFINITY))

/**
 * The hold becomes the true cost. Once: false where this call is not (or no longer) under way. What it cost beyond its hold
 * is taken from what is lent here, also from what is not free yet: so a cap is passed by calls that are under way when it is
 * reached, and not by each that comes after them.
 */
export function settle(purse: Purse, call: string, costNanoUsd: number): boolean {
  const tolls = purse.calls.get(call)
  if (tolls === undefined) return false
  purse.calls.delete(call)
  for (const toll of tolls) {
    const pocket = pocketOf(purse, toll)
    const beyond = Math.max(0, costNanoUsd - toll.holdNanoUsd)
    pocket.held -= toll.holdNanoUsd
    pocket.spent += costNanoUsd
    pocket.beyond += beyond
    pocket.returned += beyond
    touch(purse, pocket)
  }
  return true
}

/** The answers of waiting calls that have one now. To be called after each record of control, settlement and few ms. */
export function wake(purse: Purse, now: number): readonly (readonly [call: string, answer: Admission])[] {
  const answers: (readonly [string, Admission])[] = []
  purse.short.clear()
  for (const [call, { tolls, since }] of purse.waiting) {
    const early = attempt(purse, call, tolls, now)
    const answer =
      early.verdict === 'wait' && now - since >= purse.settings.waitMs ? tooLate(purse, tolls, since) : early
    if (answer.verdict === 'wait') for (const toll of tolls) if (lacks(purse, toll)) purse.short.add(toll.node)
    if (answer.verdict === 'wait') continue
    purse.waiting.delete(call)
    answers.push([call, answer])
  }
  return answers
}

/** Takes the next record of control, void or not, of whatever partition. */
export function hear(purse: Purse, record: MoneyDecision, now: number): void {
  if (!passes(purse.fence, record)) return
  const term = termOf(purse, record.partition)
  term.heardAt = now
  const isMine = 'gateway' in record && record.gateway === purse.life.gateway && record.epoch === purse.life.epoch
  if (record.type === 'gateway.expired' && isMine) end(purse)
  if (record.type === 'gateway.heard' && isMine) {
    const sentAt = term.sent.get(record.beat)
    if (sentAt !== undefined) term.endsAt = Math.max(term.endsAt ?? sentAt, sentAt + purse.settings.termMs)
    for (const beat of term.sent.keys()) if (beat <= record.beat) term.sent.delete(beat)
  }
  if (!('node' in record)) return
  const pocket = purse.pockets.get(record.node) ?? unasked(purse, record, isMine)
  if (pocket === undefined) return
  if (record.type === 'lease.granted' && isMine) {
    pocket.granted = Math.max(pocket.granted, record.granted_nano_usd)
    pocket.answered = Math.max(pocket.answered, record.ask)
  } else if (record.type === 'budget.exhausted' || record.type === 'budget.balance') {
    const spent = record.spent_nano_usd + record.presumed_nano_usd
    pocket.standing = { limit: record.limit_nano_usd, spent }
    if (record.type === 'budget.exhausted' && isMine) pocket.answered = Math.max(pocket.answered, record.ask)
  } else if (record.type === 'window.opened') pocket.standing = null
  else if (record.type === 'lease.recalled') pocket.tightUntil = now + limits.tightMs
  purse.dirty.add(pocket)
}

/** What the owners have to be told, in this order. */
export function outgoing(purse: Purse, partitions: readonly number[], now: number): readonly Outgoing[] {
  const beats: Outgoing[] = []
  for (const partition of partitions) beat(purse, partition, now, beats)
  const reports: Due[] = []
  const asks: Outgoing[] = []
  const needed = neededBy(purse)
  for (const node of needed.keys()) purse.dirty.add(purse.pockets.get(node)!) // waiting calls have a pocket at each node
  for (const pocket of purse.dirty) {
    const need = needed.get(pocket.node) ?? noNeed
    if (now < pocket.tightUntil) giveBack(pocket, need.first)
    const isLast = purse.ended && pocket.held === 0
    if (!pocket.isReported || isLast)
      reports.push(reportOf(purse, pocket, isLast ? 0 : aheadOf(purse, pocket, now), isLast))
    if (!purse.ended) ask(purse, pocket, need, now, asks)
  }
  purse.dirty.clear()
  return [...beats, ...messagesOf(reports, true), ...asks]
}

/** Whether the owners have to be told before the provider of an admitted call is asked: of holds that nothing foresaw. */
export const isUnpledged = (purse: Purse, tolls: readonly Toll[]): boolean =>
  tolls.some(({ node }) => {
    const pocket = purse.pockets.get(node)
    return pocket !== undefined && isUntold(pocket)
  })

/** What spares no call a report of its own is not told: it would only have to be taken back. */
function aheadOf({ settings }: Purse, pocket: Pocket, now: number): number {
  if (now < pocket.tightUntil || settings.aheadShare === 0) return 0
  const share = Math.max(ofRun(pocket), Math.floor(recentOf(pocket, now) * settings.aheadShare))
  return share < pocket.lastHold ? 0 : share
}

/** A run that was named elsewhere is told ahead as much of as one that was named here needs no word for. */
const ofRun = ({ cap, birthright }: Pocket): number =>
  cap === null || birthright > 0 ? 0 : silentOf(birthrightOf(cap.limit_nano_usd))

/** What was told ahead and nobody has used of late is taken back: the owner is told that it is not held any more. */
export function takeBack(purse: Purse, now: number): void {
  for (const pocket of purse.pockets.values()) {
    if (pocket.held > 0 || pocket.declared <= pocket.spent - pocket.beyond) continue
    if (now - pocket.recentAt < limits.burstMs) continue
    pocket.recent = 0
    touch(purse, pocket)
  }
}

/**
 * Runs that idle give back what they were lent, and once that was told no more is kept of them than their totals: so what
 * is kept, and said again from time to time, does not grow with the runs that ever were.
 */
export function park(purse: Purse, now: number): void {
  for (const pocket of purse.pockets.values()) {
    const { cap, mintedBy, held, answered } = pocket
    const isRun = cap !== null || mintedBy !== null
    if (!isRun || held > 0 || purse.short.has(pocket.node) || now - pocket.recentAt < purse.settings.idleMs) continue
    if (balance(pocket) > 0) {
      giveBack(pocket, 0)
      purse.dirty.add(pocket)
    } else if (pocket.isReported && !purse.dirty.has(pocket)) {
      const { granted, spent, beyond, returned, report, asks } = pocket
      purse.parked.set(pocket.node, [granted, spent, beyond, returned, report, asks, answered])
      purse.pockets.delete(pocket.node)
    }
  }
}

/** The last word on pockets of windows that closed. They must not be asked for again. */
export function retire(purse: Purse, isOver: (pocket: Pocket) => boolean): readonly Outgoing[] {
  const over = [...purse.pockets.values()].filter(pocket => pocket.held === 0 && isOver(pocket))
  const used = new Set([...purse.waiting.values()].flatMap(({ tolls }) => tolls.map(toll => toll.node)))
  const last = over.filter(pocket => !used.has(pocket.node))
  for (const pocket of last) {
    purse.pockets.delete(pocket.node)
    purse.dirty.delete(pocket)
  }
  return messagesOf(last.map(pocket => reportOf(purse, pocket, 0, true)))
}

function attempt(purse: Purse, call: string, tolls: readonly Toll[], now: number): Admission {
  if (purse.ended) return { verdict: 'log_unavailable' }
  let hasTerm = true
  let isFree = true
  for (const toll of tolls) {
    const { endsAt } = termOf(purse, toll.partition)
    if (endsAt === null) hasTerm = false
    else if (now >= endsAt) return { verdict: 'log_unavailable' }
    if (purse.short.has(toll.node) || lacks(purse, toll)) isFree = false
  }
  if (!hasTerm || !isFree) return tolls.map(toll => refusal(purse, toll)).find(refused => refused !== null) ?? wait
  for (const toll of tolls) hold(purse, pocketOf(purse, toll), toll.holdNanoUsd, now)
  purse.calls.set(call, tolls)
  return admitted
}

const lacks = (purse: Purse, toll: Toll): boolean => balance(pocketOf(purse, toll)) < toll.holdNanoUsd

/** What was spent only grows, so a bound that did not fit what was unspent then does not fit now. */
function refusal(purse: Purse, toll: Toll): Admission | null {
  const { standing } = pocketOf(purse, toll)
  if (standing === null || !lacks(purse, toll) || standing.spent + toll.holdNanoUsd <= standing.limit) return null
  const amounts = { limitNanoUsd: standing.limit, spentNanoUsd: standing.spent, askedNanoUsd: toll.holdNanoUsd }
  return { verdict: 'exceeded', scope: toll.scope, ...amounts, resetsAt: toll.closesAt }
}

/** It waited long enough: for others' holds where the owner was heard meanwhile, else for the log. */
function tooLate(purse: Purse, tolls: readonly Toll[], since: number): Admission {
  const missing = tolls.filter(toll => lacks(purse, toll))
  const unheard = (missing.length > 0 ? missing : tolls).some(
    ({ partition }) => termOf(purse, partition).heardAt < since,
  )
  return unheard ? { verdict: 'log_unavailable' } : { verdict: 'contended', retryAfterMs: limits.retryAfterMs }
}

function hold(purse: Purse, pocket: Pocket, amount: number, now: number): void {
  pocket.held += amount
  pocket.recent = recentOf(pocket, now) + amount
  pocket.recentAt = now
  pocket.lastHold = amount
  touch(purse, pocket)
}

const recentOf = ({ recent, recentAt }: Pocket, now: number): number =>
  recent * Math.exp((recentAt - now) / limits.burstMs)

function touch(purse: Purse, pocket: Pocket): void {
  pocket.isReported = false
  purse.dirty.add(pocket)
}

/** It admits nothing more, and says the last of each node once no call holds anything there. */
export function end(purse: Purse): void {
  purse.ended = true
  for (const pocket of purse.pockets.values()) purse.dirty.add(pocket)
}

/** The owner booked a birthright for a run that only others have used: it is to be returned when it is called back. */
function unasked(purse: Purse, record: MoneyDecision, isMine: boolean): Pocket | undefined {
  if (record.type !== 'lease.granted' || !isMine) return undefined
  const { node, partition } = record
  return pocketOf(purse, { node, partition, scope: '', limitNanoUsd: 0, opensAt: 0, closesAt: null, holdNanoUsd: 0 })
}

function beat(purse: Purse, partition: number, now: number, out: Outgoing[]): void {
  const term = termOf(purse, partition)
  if (purse.ended || now - term.sentAt < purse.settings.beatMs) return
  term.beat += 1
  term.sentAt = now
  term.sent.set(term.beat, now)
  for (const old of term.sent.keys()) if (old <= term.beat - limits.beats) term.sent.delete(old)
  out.push({ partition, message: { type: 'gateway.heartbeat', ...purse.life, beat: term.beat } })
}

/** What waiting calls lack at a node: the hold of the first of them, and of all. */
type Need = { readonly first: number; readonly all: number }
const noNeed: Need = { first: 0, all: 0 }

function neededBy(purse: Purse): ReadonlyMap<string, Need> {
  const needed = new Map<string, Need>()
  for (const { tolls } of purse.waiting.values())
    for (const toll of tolls) {
      const before = needed.get(toll.node)
      if (before === undefined && !lacks(purse, toll)) continue
      needed.set(toll.node, { first: before?.first ?? toll.holdNanoUsd, all: (before?.all ?? 0) + toll.holdNanoUsd })
    }
  return needed
}

/**
 * Keeps what lets the first waiting call in, or two gateways would hand the last cent to and fro. What does not is given
 * back: of several with a part each, none could make the call that all of it pays for.
 */
function giveBack(pocket: Pocket, first: number): void {
  const left = balance(pocket)
  const idle = left >= first ? left - first : left
  if (idle <= 0) return
  pocket.returned += idle
  pocket.isReported = false
  pocket.hasReturned = true
}

function ask(purse: Purse, pocket: Pocket, { first, all }: Need, now: number, out: Outgoing[]): void {
  const left = balance(pocket)
  const isIdle = now - pocket.recentAt >= purse.settings.idleMs
  const faded = isIdle ? 0 : recentOf(pocket, now)
  // A run is at home in one gateway for most of its life: what it asks for first lasts it for many calls.
  const home = first > 0 && pocket.asks === 0 && pocket.cap !== null ? pocket.cap.limit_nano_usd / limits.homeShare : 0
  const burst = now < pocket.tightUntil ? 0 : Math.round(Math.max(faded, 2 * first, all, home))
  const needs = first > left ? pocket.granted + first - left : 0
  const wants = Math.max(needs, left < burst / 2 ? pocket.granted + burst - left : 0)
  const lasting = now < pocket.tightUntil ? 0 : stockOf(purse, pocket, now)
  const stock = left < lasting ? pocket.granted + lasting - left : 0
  const open = pocket.ask !== null && pocket.ask.ask > pocket.answered ? pocket.ask : null
  const isStocked = stock === 0 || now - pocket.stockedAt < limits.stockEveryMs
  const isMet = open === null ? wants === 0 : open.needs === needs && (needs > 0 || open.wants >= wants)
  if (isStocked && isMet && (open === null || wants === 0 || now - open.at < limits.askAgainMs)) return
  if (stock > 0) pocket.stockedAt = now
  pocket.asks += 1
  pocket.ask = { ask: pocket.asks, needs, wants, at: now }
  const amounts = {
    needs_nano_usd: needs,
    wants_nano_usd: wants,
    asked_nano_usd: needs > 0 ? first : 0,
    ...(stock === 0 ? {} : { stock_nano_usd: stock }),
  }
  const { node, partition } = pocket
  const asking = { ask: pocket.asks, ...amounts }
  out.push({ partition, message: { type: 'lease.requested', ...purse.life, ...birthOf(pocket), node, ...asking } })
}

/**
 * What is spent here in a term, and in what passes until it is asked for again: with so much a gateway that hears nobody
 * goes on until its term is over, and is stopped by that and not by an empty pocket.
 */
function stockOf({ settings: { termMs, idleMs } }: Purse, pocket: Pocket, now: number): number {
  if (now - pocket.recentAt >= idleMs) return 0
  const before = pocket.pace ?? { spent: 0, at: now, since: now, upTo: 0 }
  const spent = before.spent * Math.exp((before.at - now) / termMs) + pocket.spent - before.upTo
  pocket.pace = { spent, at: now, since: before.since, upTo: pocket.spent }
  const known = 1 - Math.exp(-Math.max(limits.paceMs, now - before.since) / termMs)
  return Math.round((spent / known) * (1 + (2 * limits.stockEveryMs) / termMs))
}
