import type { MoneyDecision } from '../../../schemas/control.ts'
import type { LedgerMessage } from '../../../schemas/ledger.ts'
import { foldControl, foldLedger } from '../../../services/core/money/booking.ts'
import { type Books, openBooks } from '../../../services/core/money/books.ts'
import { birthrightOf, silentOf } from '../../../services/core/money/budget.ts'
import type { Position } from '../../../services/core/money/position.ts'
import type { Toll } from '../../../services/core/money/purse.ts'
import { reportsIn } from '../../../services/core/money/reports.ts'

/** What surrounds gateways and owners: time, the two logs, the policy, and a provider that keeps its own books. */
export type World = {
  readonly draw: Draw
  readonly mode: Mode
  readonly keepsLease: boolean
  readonly flaw: Flaw | null
  /** How this world is out of order: its ledger is read a few messages at a time, its processes die often and stay dead. */
  readonly hasSlowLedger: boolean
  readonly isDeadly: boolean
  /** Whether each machine writes a part of the ledger of its own, as embedded ones do. */
  readonly hasParts: boolean
  /** Whether caps are so wide that a run has calls which need no word. */
  readonly isRoomy: boolean
  /** Whether calls are held to less than they can cost. */
  readonly isLearned: boolean
  now: number
  /** By partition. */
  readonly ledger: Map<number, LedgerMessage[]>
  readonly control: MoneyDecision[]
  logsAwayUntil: number
  readonly limits: Map<string, number>
  /** The highest limit that a node ever had: what was granted under it may still be spent. */
  readonly highest: Map<string, number>
  /** How often the limit of a node was changed. */
  readonly versions: Map<string, number>
  readonly calls: Call[]
  readonly callsAt: Map<string, Call[]>
  /** By node and life: the calls that were under way when it let the last one through there, that one among them. */
  readonly lastUnderWay: Map<string, Map<string, readonly Call[]>>
  /** A reader that trails every decision: the ledger up to where it was taken, then the decision. */
  readonly auditor: Books
  /** Where the ledger stood, and when, as each epoch was ended. */
  readonly expiries: Map<string, { readonly at: number; readonly reported: ReadonlyMap<string, number> }>
  readonly dead: Set<string>
  /** By life and node: the most that it told of as spent or held. What it told ahead is presumed when it dies. */
  readonly told: Map<string, number>
  /** By life, node and report: what it told of as held ahead of any call. */
  readonly aheads: Map<string, number>
  readonly wrongs: string[]
  readonly seen: Record<string, number>
}

/** Whether a hold is on the ledger before the provider is called: never certain, always at once, or waited for. */
export type Mode = 'spool' | 'embedded' | 'replicated'
export type Flaw =
  | 'no fencing'
  | 'unacknowledged heartbeats'
  | 'granting before the fold caught up'
  | 'charging after the response'
  | 'decisions out of order'
  | 'expiry before the holds are read'
  | 'overruns that take from nobody'

export type Call = {
  readonly id: string
  readonly life: string
  readonly tolls: readonly Toll[]
  /** What honest billing stays within, and what is held of it. */
  readonly bound: number
  readonly hold: number
  readonly admittedAt: number
  /** By node: the report that first told of its hold. */
  readonly reports: ReadonlyMap<string, number>
  state: 'admitted' | 'charged' | 'settled' | 'lost'
  cost: number
}

/** A seed makes a history (mulberry32). */
export type Draw = { readonly below: (n: number) => number; readonly chance: (p: number) => boolean }
export function drawFrom(seed: number): Draw {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return { below: n => Math.floor(next() * n), chance: p => next() < p }
}

const windowMs = 12_000
/** Shorter than in life, that a history sees many of them. */
export const times = {
  termMs: 1_500,
  marginMs: 50,
  beatMs: 250,
  waitMs: 600,
  waitingMost: 10_000,
  aheadShare: 1 / 6,
  idleMs: 1_500,
  parkedMost: 200_000,
}
export const wallOf = (world: World): number => 1_800_000_000_000 + world.now

export function openWorld(
  seed: number,
  flaw: Flaw | null,
  fixed: Partial<Pick<World, 'mode' | 'keepsLease'>> = {},
): World {
  const draw = drawFrom(seed)
  const mode = fixed.mode ?? (['spool', 'embedded', 'replicated'] as const)[draw.below(3)]!
  return {
    draw,
    mode,
    keepsLease: fixed.keepsLease ?? draw.chance(0.3),
    flaw,
    hasSlowLedger: draw.chance(0.35),
    isDeadly: draw.chance(0.4),
    hasParts: mode === 'embedded' || draw.chance(0.3),
    isLearned: draw.chance(0.3),
    isRoomy: draw.chance(0.4),
    now: 1_000_000,
    ledger: new Map(),
    control: [],
    logsAwayUntil: 0,
    limits: new Map(),
    highest: new Map(),
    versions: new Map(),
    calls: [],
    callsAt: new Map(),
    lastUnderWay: new Map(),
    auditor: openBooks(0),
    expiries: new Map(),
    dead: new Set(),
    told: new Map(),
    wrongs: [],
    aheads: new Map(),
    seen: {},
  }
}

export const count = (world: World, what: string, by = 1): void => {
  world.seen[what] = (world.seen[what] ?? 0) + by
}

const usual: Readonly<Record<string, number>> = { org: 300, team: 230, agent: 90, run: 40 }
export function limitAt(world: World, node: string): number {
  const known = world.limits.get(node) ?? usual[node.split(':')[0]!]! * (world.isRoomy ? 4 : 1)
  if (!world.limits.has(node)) setLimit(world, node, known)
  return known
}
export function setLimit(world: World, node: string, limit: number): void {
  world.limits.set(node, limit)
  world.versions.set(node, (world.versions.get(node) ?? -1) + 1)
  world.highest.set(node, Math.max(limit, world.highest.get(node) ?? 0))
}

/** Agents have windows, the others lifetimes. */
export function spanOf(node: string): { readonly opensAt: number; readonly closesAt: number | null } {
  const k = /@(\d+)$/.exec(node)?.[1]
  return k === undefined
    ? { opensAt: 0, closesAt: null }
    : { opensAt: Number(k) * windowMs, closesAt: (Number(k) + 1) * windowMs }
}
export const windowed = (scope: string, wallMs: number): string => `${scope}@${Math.floor(wallMs / windowMs)}`

/** Where the ledger ends. */
export const endOf = (world: World): Position =>
  Object.fromEntries([...world.ledger].map(([partition, messages]) => [partition, messages.length]))

/** The messages of one partition, made where it is missing. */
export function partOf(world: World, partition: number): LedgerMessage[] {
  const known = world.ledger.get(partition) ?? []
  world.ledger.set(partition, known)
  return known
}

/** Appends a record of control and lets the auditor read it: the invariant holds at every offset of the log. */
export function decideOn(world: World, record: MoneyDecision): void {
  world.control.push(record)
  const { auditor } = world
  for (const [partition, messages] of world.ledger)
    for (let offset = auditor.ledgerNext[partition] ?? 0; offset < (record.ledger_offsets[partition] ?? 0); offset++)
      foldLedger(auditor, messages[offset]!, { partition, offset })
  const counts = foldControl(auditor, record, world.control.length - 1)
  count(world, counts ? record.type : 'void')
  if (counts && record.type === 'gateway.expired') {
    const life = `${record.gateway}.${record.epoch}`
    const reported = new Map<string, number>()
    const known = [...world.ledger].flatMap(([partition, all]) => all.slice(0, record.ledger_offsets[partition] ?? 0))
    for (const message of known)
      if ('gateway' in message && `${message.gateway}.${message.epoch}` === life)
        for (const { node, report } of reportsIn(message)) reported.set(node, Math.max(report, reported.get(node) ?? 0))
    if (!world.expiries.has(life)) world.expiries.set(life, { at: world.now, reported })
  }
  for (const node of auditor.dirty) {
    const { limit, spent, beyond, presumed, leased } = auditor.nodes.get(node)!
    if (limit === null) continue
    const out = spent - beyond + presumed + leased
    // The books also count late holds of calls that never reached the provider, and those ahead of any call.
    const most = world.highest.get(node)!
    if (out > most && out > most + untold(world, node, () => true) + toldAhead(world, node))
      world.wrongs.push(`books: ${out} of ${limit.nanoUsd} at ${node}`)
  }
  auditor.dirty.clear()
}

/**
 * What epochs had admitted in their terms and not told by the time they were ended: the second sum of the published bound.
 * Where the hold has to be on the ledger first, such a call never reached the provider.
 */
export const tailAt = (world: World, node: string): number =>
  world.mode === 'spool' ? untold(world, node, call => call.state !== 'admitted' && call.state !== 'lost') : 0

function untold(world: World, node: string, counts: (call: Call) => boolean): number {
  let tail = 0
  if (world.keepsLease) return tail
  for (const call of world.callsAt.get(node) ?? []) {
    const expiry = world.expiries.get(call.life)
    if (expiry === undefined || !counts(call)) continue
    const isTold = (expiry.reported.get(node) ?? 0) >= call.reports.get(node)!
    if (call.admittedAt <= expiry.at && !isTold) tail += Math.max(call.bound, call.cost)
  }
  return tail
}

/**
 * What epochs told ahead of calls in reports that were read after they had been ended: the last words of one that died count
 * it as spent.
 */
function toldAhead(world: World, node: string): number {
  let ahead = 0
  for (const [life, { report }] of world.auditor.nodes.get(node)?.leases ?? []) {
    const expiry = world.expiries.get(life)
    if (expiry === undefined) continue
    let most = 0
    for (let late = (expiry.reported.get(node) ?? 0) + 1; late <= report; late++)
      most = Math.max(most, world.aheads.get(`${life} ${node} ${late}`) ?? 0)
    ahead += most
  }
  return ahead
}

/** The true money against the bound as published. */
export function check(world: World, nodes: Iterable<string>): void {
  for (const node of nodes) {
    const calls = world.callsAt.get(node) ?? []
    const spent = calls.reduce((sum, call) => sum + call.cost, 0)
    const last = [...(world.lastUnderWay.get(node)?.values() ?? [])].flat()
    const beyond = last.reduce((sum, call) => sum + Math.max(0, call.cost - call.hold), 0)
    const limit = world.highest.get(node)!
    if (spent <= limit) continue
    count(world, 'passed a cap')
    if (spent > limit + beyond && tailAt(world, node) > 0) count(world, 'passed a cap by the unshipped tail')
    if (spent > limit + beyond + tailAt(world, node)) world.wrongs.push(`money: ${spent} of ${limit} at ${node}`)
  }
}

/** The most that the books may count as spent or presumed: an epoch that died counts at its bounds. */
export function mostSpent(world: World, node: string): number {
  let most = 0
  const dead = new Map<string, number>()
  for (const call of world.callsAt.get(node) ?? [])
    if (world.dead.has(call.life) || world.expiries.has(call.life))
      dead.set(call.life, (dead.get(call.life) ?? 0) + Math.max(call.bound, call.cost))
    else most += call.state === 'settled' ? call.cost : 0
  for (const life of new Set([...world.dead, ...world.expiries.keys()])) {
    const told = world.told.get(`${life} ${node}`) ?? 0
    const silent = node.startsWith(`run:${life}:`) ? silentOf(birthrightOf(world.highest.get(node)!)) : 0
    most += Math.max(dead.get(life) ?? 0, told + silent)
  }
  return most
}
