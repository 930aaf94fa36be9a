import { parseEventId } from '../../../schemas/envelope.ts'
import type { Event } from '../../../schemas/events.ts'
import type { NodeBook } from '../../core/money/books.ts'
import { scopeOfNode } from '../../core/money/caps.ts'
import { partitionOf } from '../../io/log/partitioner.ts'
import type { Caps } from './caps.ts'
import { type Check, differ, leave } from './check.ts'
import { type Drawer, openMany } from './drawer.ts'

/**
 * What calls came to, by the gateway that let them through and the caps that they passed, to be held against what the
 * ledger says was spent there.
 *
 * A call without an end is held for and not spent. One whose gateway began anew is spent at its bound: so say the last
 * words of the life that let it through, and so it stays for an answer in the background whose end comes later.
 */
export type Calls = {
  /** The next event, in its partition's order. */
  readonly take: (event: Event) => void
  /** Whether the ledger counts what was not read in the events: two logs of one gateway may come by two ways. */
  readonly isBehind: (caps: readonly Caps[]) => boolean
  readonly compare: (caps: readonly Caps[], terms: Terms) => void
}

export type Terms = {
  /** The events before this time are no longer on the log, Unix ms: caps that are older cannot be added up. 0: all are. */
  readonly since: number
}

type Origin = ReturnType<typeof parseEventId>
type Admitted = {
  readonly id: string
  readonly gateway: string
  readonly epoch: number
  readonly nodes: readonly string[]
  readonly bound: number
  /** Less than the bound where that was learned. */
  readonly held: number
  queued: boolean
}
/** `beyond`: above what was held. `later`: of calls that ended when the ledger was heard for the last time, or since. */
type Spent = { nanoUsd: number; calls: number; beyond: number; later: number }

/** Caps in memory of which a call was heard lately, and as many before them: at some 200 bytes each. */
const inMemory = 20_000

export function openCalls(
  check: Check,
  given: {
    /** All events stand on one partition, so that each end comes behind its beginning. */
    readonly ordered: boolean
    /** When a gateway spoke last on the ledger, Unix ms of its own clock: what ended since cannot be in what it said. */
    readonly heardUntil: (gateway: string) => number
    readonly drawer: Drawer
  },
): Calls {
  const { ordered, heardUntil, drawer } = given
  /** By request. */
  const open = new Map<string, Admitted>()
  /** Ends that were read before what they end, which stands on another partition. */
  const early = new Map<string, { readonly costNanoUsd: number; readonly by: Origin; readonly time: number }>()
  /** By gateway and node. */
  const spent = openMany<Spent>(drawer.aside(), inMemory)
  /** The latest life of each gateway that told anything, and that let a call through. */
  const alive = new Map<string, number>()
  const admitting = new Map<string, number>()

  /** Where the ledger was ahead of the events when that was looked at last. */
  let ahead: readonly Said[] | null = null
  /** Of answers in the background that a later life saw end: what they came to, less what they were held for. */
  const corrected = new Map<string, number>()

  const charge = ({ gateway, nodes, held }: Admitted, costNanoUsd: number, time: number): void => {
    check.compared += 1
    const later = time >= heardUntil(gateway) ? costNanoUsd : 0
    for (const node of nodes) {
      const sum = spent.of(`${gateway} ${node}`, nothing)
      sum.nanoUsd += costNanoUsd
      sum.calls += 1
      sum.beyond += Math.max(0, costNanoUsd - held)
      sum.later += later
    }
  }
  const end = (requestId: string, call: Admitted, costNanoUsd: number, by: Origin, time: number): void => {
    open.delete(requestId)
    if (call.nodes.length === 0) return
    const isOwnEnd = by !== null && by.producer === call.gateway && by.epoch === call.epoch
    const atBound = call.queued && !isOwnEnd
    if (atBound) corrected.set(requestId, costNanoUsd - call.bound)
    charge(call, atBound ? call.bound : costNanoUsd, time)
  }

  return {
    take(event) {
      const by = parseEventId(event.id)
      const requestId = event.request_id ?? ''
      if (by !== null) alive.set(by.producer, Math.max(alive.get(by.producer) ?? 0, by.epoch))
      if (event.type === 'admission.granted' && by !== null) {
        admitting.set(by.producer, Math.max(admitting.get(by.producer) ?? 0, by.epoch))
        const nodes = event.data?.nodes ?? []
        // Asking for an answer in the background has no end of its own: it ends what began it.
        // One without a cap is waited for all the same where its end cannot be told from one that came early.
        if ((nodes.length === 0 && ordered) || event.operation === 'retrieve') return
        const { producer: gateway, epoch } = by
        const bound = event.bound_nano_usd ?? 0
        const held = event.data?.held?.nano_usd ?? bound
        const call = { id: event.id, gateway, epoch, nodes, bound, held, queued: false }
        open.set(requestId, call)
        const ended = early.get(requestId)
        early.delete(requestId)
        if (ended?.by?.producer === gateway) end(requestId, call, ended.costNanoUsd, ended.by, ended.time)
      } else if (event.type === 'llm.queued') {
        const call = open.get(requestId)
        if (call !== undefined) call.queued = true
      } else if (event.type === 'admission.settled') {
        const call = open.get(requestId)
        if (call !== undefined) end(requestId, call, event.data.cost_nano_usd, by, event.time)
      } else if (event.type === 'llm.completed') {
        const call = open.get(requestId)
        const costNanoUsd = event.cost_nano_usd ?? 0
        // Whoever let it through says when that has settled what another gateway saw end.
        if (call?.queued === true && by?.producer !== call.gateway) return
        if (call !== undefined) end(requestId, call, costNanoUsd, by, event.time)
        // Else no cap stands over it.
        else if (!ordered && costNanoUsd > 0) early.set(requestId, { costNanoUsd, by, time: event.time })
      }
    },

    isBehind(caps) {
      // Looked for among all of them once: the ledger is folded, so there will be no more.
      ahead = Iterator.from(ahead ?? saidIn(caps))
        .filter(({ key, said }) => said > (spent.look(key)?.nanoUsd ?? 0))
        .toArray()
      return ahead.length > 0
    },

    compare(caps, { since }) {
      for (const call of open.values())
        if (call.nodes.length === 0) continue
        else if (call.queued && call.epoch < (alive.get(call.gateway) ?? 0)) charge(call, call.bound, 0)
        else if (call.queued || call.epoch >= (admitting.get(call.gateway) ?? 0)) check.inFlight += 1
        else differ(check, call.id, 'was let through by a life that is over, and never ended')
      const queued = new Map<string, number>()
      for (const { gateway, nodes, bound, queued: isQueued } of open.values())
        for (const node of isQueued ? nodes : [])
          queued.set(`${gateway} ${node}`, (queued.get(`${gateway} ${node}`) ?? 0) + bound)
      let older = 0
      const weigh = (gateway: string, node: string, book: NodeBook | undefined, sum: Spent): void => {
        if (since > 0 && (book?.limit?.opensAt ?? 0) < since) {
          older += 1
          return
        }
        check.compared += 1
        const said = saidBy(book, gateway)
        const behind = sum.nanoUsd - said.spent
        if (behind === 0) return
        // What has ended a moment ago is still held for on the ledger, or not yet on it; what waits in the background may be given up there.
        if (
          behind > 0 ? behind <= said.held + sum.beyond + sum.later : -behind <= (queued.get(`${gateway} ${node}`) ?? 0)
        )
          check.inFlight += 1
        else
          differ(
            check,
            `${node} by ${gateway}`,
            `${sum.calls} calls cost ${sum.nanoUsd} nano-dollars, the ledger says ${said.spent} (and ${said.held} held)`,
          )
      }
      for (const [key, sum] of spent.all()) {
        const { gateway, node } = split(key)
        weigh(gateway, node, bookOf(caps, node), sum)
      }
      for (const book of allIn(caps)) {
        for (const gateway of gatewaysAt(book))
          if (spent.look(`${gateway} ${book.node}`) === null) weigh(gateway, book.node, book, nothing())
        for (const [source, { total }] of book.corrections)
          if (since === 0 && corrected.get(source) !== total)
            differ(
              check,
              `${book.node}, ${source}`,
              `corrected by ${total} nano-dollars, the events say ${corrected.get(source) ?? 0}`,
            )
      }
      if (older > 0) leave(check, `${older} caps whose first calls are no longer on the log`)
    },
  }
}

const nothing = (): Spent => ({ nanoUsd: 0, calls: 0, beyond: 0, later: 0 })

/** What a gateway has spent at a node, as the ledger says. */
type Said = { readonly key: string; readonly said: number }

function* saidIn(caps: readonly Caps[]): Generator<Said> {
  for (const book of allIn(caps))
    for (const gateway of gatewaysAt(book)) yield { key: `${gateway} ${book.node}`, said: saidBy(book, gateway).spent }
}

function* allIn(caps: readonly Caps[]): Generator<NodeBook> {
  for (const own of caps) yield* own.all()
}

/** At its owner's; what was told to another one is found there. */
const bookOf = (caps: readonly Caps[], node: string): NodeBook | undefined =>
  caps[partitionOf(scopeOfNode(node), caps.length)]?.look(node) ??
  caps.map(own => own.look(node)).find(book => book !== undefined)

const gatewaysAt = ({ leases }: NodeBook): ReadonlySet<string> =>
  new Set(Array.from(leases.values(), ({ life }) => life.gateway))

const split = (key: string) => {
  const at = key.indexOf(' ')
  return { gateway: key.slice(0, at), node: key.slice(at + 1) }
}

/** Over all lives of a gateway: what it spent at a node, and what those hold that have not said their last word. */
function saidBy(book: NodeBook | undefined, gateway: string) {
  let [spent, held] = [0, 0]
  for (const lease of book?.leases.values() ?? []) {
    if (lease.life.gateway !== gateway) continue
    spent += lease.spent
    if (!lease.final) held += lease.held
  }
  return { spent, held }
}
