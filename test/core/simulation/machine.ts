import type { LedgerMessage } from '../../../schemas/ledger.ts'
import {
  type Admission,
  admit,
  hear,
  isUnpledged,
  mayStillSpend,
  outgoing,
  park,
  settle,
  wake,
} from '../../../services/core/money/lease.ts'
import { openPurse, type Purse, type Toll } from '../../../services/core/money/purse.ts'
import { lastWords, type Outgoing, reportsIn } from '../../../services/core/money/reports.ts'
import {
  type Call,
  check,
  count,
  limitAt,
  mostSpent,
  partOf,
  spanOf,
  times,
  type World,
  wallOf,
  windowed,
} from './world.ts'

/** One machine with a disk, on which gateway epochs live and die. */
export type Machine = {
  readonly index: number
  readonly name: string
  /** Its clocks differ from everyone's, by up to hours. */
  readonly monotonicOffset: number
  wallOffset: number
  purse: Purse | null
  epoch: number
  controlAt: number
  readonly disk: LedgerMessage[]
  shipped: number
  pausedUntil: number
  awayUntil: number
  readonly runs: string[]
  readonly underWay: Call[]
  readonly asking: Map<string, Pick<Call, 'tolls' | 'bound' | 'hold'>>
  asked: number
}

export function openMachine(world: World, index: number): Machine {
  const off = world.draw.chance(0.15)
  const machine: Machine = {
    index,
    name: `gateway-${index}`,
    monotonicOffset: world.draw.below(1e7),
    wallOffset: off ? (world.draw.below(3) - 1) * 3_600_000 : 0,
    purse: null,
    epoch: 0,
    controlAt: 0,
    disk: [],
    shipped: 0,
    pausedUntil: 0,
    awayUntil: 0,
    runs: [],
    underWay: [],
    asking: new Map(),
    asked: 0,
  }
  begin(world, machine)
  return machine
}

const clock = (world: World, machine: Machine) => world.now + machine.monotonicOffset
const lifeName = (machine: Machine) => `${machine.name}.${machine.epoch}`

/** A new epoch; the last words of the former one are the first of this. */
function begin(world: World, machine: Machine): void {
  const former = machine.disk.filter(message => 'epoch' in message && message.epoch === machine.epoch)
  const reports = lastWords(former.flatMap(reportsIn))
  const life = { gateway: machine.name, epoch: machine.epoch }
  if (reports.length > 0) machine.disk.push({ type: 'lease.returned', ...life, reports })
  machine.epoch += 1
  machine.purse = openPurse({ gateway: machine.name, epoch: machine.epoch }, times)
  machine.controlAt = 0
  machine.runs.length = 0
  tell(world, machine)
}

export function crash(world: World, machine: Machine): void {
  world.dead.add(lifeName(machine))
  for (const call of machine.underWay) call.state = call.state === 'charged' ? 'charged' : 'lost'
  machine.underWay.length = 0
  machine.asking.clear()
  machine.purse = null
  count(world, 'crashes')
}

export const restart = begin

export function newCall(world: World, machine: Machine, runs: readonly string[]): void {
  const { draw, flaw } = world
  const purse = machine.purse!
  const names = draw.chance(0.35) || runs.length === 0
  const run = names ? `run:${lifeName(machine)}:${machine.runs.length}` : runs[draw.below(runs.length)]!
  if (names) machine.runs.push(run)
  const [, minter = ''] = run.split(':')
  const dot = minter.lastIndexOf('.')
  const mintedBy = { gateway: minter.slice(0, dot), epoch: Number(minter.slice(dot + 1)) }
  const bound = 1 + draw.below(draw.chance(0.2) ? 60 : 15)
  // The flaw asks for next to nothing and finds out from the bill.
  const hold = world.isLearned ? 1 + draw.below(bound) : bound
  const holdNanoUsd = flaw === 'charging after the response' ? 1 : hold
  const agent = windowed(`agent:${draw.below(2)}`, wallOf(world) + machine.wallOffset)
  const tolls = [run, agent, 'team:t', 'org:o'].map((node): Toll => {
    const at = { node, scope: node, partition: 0, limitNanoUsd: limitAt(world, node), ...spanOf(node), holdNanoUsd }
    if (node !== run) return at
    // Of runs the policy says nothing.
    return { ...at, mintedBy, isNew: names, version: world.versions.get(node)!, alertAt: [0.8] }
  })
  machine.asked += 1
  const id = `${lifeName(machine)}/${machine.asked}`
  machine.asking.set(id, { tolls, bound, hold })
  answer(world, machine, id, admit(purse, id, tolls, clock(world, machine)))
}

function answer(world: World, machine: Machine, id: string, admission: Admission): void {
  const asking = machine.asking.get(id)!
  count(world, admission.verdict)
  if (admission.verdict === 'wait') {
    tell(world, machine)
    return
  }
  machine.asking.delete(id)
  if (admission.verdict === 'exceeded') {
    const { scope, limitNanoUsd, spentNanoUsd, askedNanoUsd } = admission
    if (spentNanoUsd + askedNanoUsd <= limitNanoUsd) world.wrongs.push(`refused what fitted at ${scope}`)
    if (spentNanoUsd > mostSpent(world, scope))
      world.wrongs.push(`refused for ${spentNanoUsd}, never spent, at ${scope}`)
  }
  if (admission.verdict !== 'admit') return
  const first = asking.tolls[0]!.node
  if (machine.purse!.pockets.get(first)!.report === 0 && !isUnpledged(machine.purse!, asking.tolls))
    count(world, 'needed no word')
  // What the log was told ahead needs no word of its own.
  if (isUnpledged(machine.purse!, asking.tolls) || world.draw.chance(0.3)) tell(world, machine)
  const reports = new Map(asking.tolls.map(({ node }) => [node, machine.purse!.pockets.get(node)!.report]))
  const life = lifeName(machine)
  const call: Call = { id, life, ...asking, admittedAt: world.now, reports, state: 'admitted', cost: 0 }
  machine.underWay.push(call)
  world.calls.push(call)
  for (const { node } of call.tolls) {
    world.callsAt.set(node, [...(world.callsAt.get(node) ?? []), call])
    const last = world.lastUnderWay.get(node) ?? new Map<string, readonly Call[]>()
    const here = machine.underWay.filter(({ tolls }) => tolls.some(toll => toll.node === node))
    world.lastUnderWay.set(node, last.set(life, here))
  }
}

/** Puts what the owners have to be told on disk, in order. */
export function tell(world: World, machine: Machine): void {
  const { purse } = machine
  if (purse === null) return
  if (world.draw.chance(0.3)) {
    const before = purse.parked.size
    park(purse, clock(world, machine))
    for (let i = before; i < purse.parked.size; i++) count(world, 'parked')
  }
  say(world, machine, outgoing(purse, [0], clock(world, machine)))
}

function say(world: World, machine: Machine, said: readonly Outgoing[]): void {
  const purse = machine.purse!
  for (const { message } of said) {
    machine.disk.push(message)
    for (const { node, report, spent_nano_usd, held_nano_usd } of reportsIn(message)) {
      const place = `${lifeName(machine)} ${node}`
      world.told.set(place, Math.max(spent_nano_usd + held_nano_usd, world.told.get(place) ?? 0))
      const held = purse.pockets.get(node)?.held ?? held_nano_usd
      world.aheads.set(`${place} ${report}`, held_nano_usd - held)
    }
    const term = purse.terms.get(0)
    if (world.flaw === 'unacknowledged heartbeats' && term !== undefined) term.endsAt = term.sentAt + times.termMs
  }
  if (world.mode === 'embedded' && world.now >= world.logsAwayUntil) ship(world, machine, machine.disk.length)
}

/** Sends some of what stands on disk; a batch may come twice, and a batch sent again comes late. */
export function ship(world: World, machine: Machine, most: number): void {
  const batch = machine.disk.slice(machine.shipped, machine.shipped + most)
  if (world.mode !== 'embedded' && world.draw.chance(0.1)) batch.reverse()
  const ledger = partOf(world, world.hasParts ? machine.index : 0)
  ledger.push(...batch)
  machine.shipped += batch.length
  if (world.draw.chance(0.1) && machine.shipped > 0) {
    const from = world.draw.below(machine.shipped)
    ledger.push(...machine.disk.slice(from, Math.min(machine.shipped, from + 3)))
  }
}

export function readControl(world: World, machine: Machine, most: number): void {
  const { purse } = machine
  if (purse === null) return
  for (let i = 0; i < most && machine.controlAt < world.control.length; i++) {
    hear(purse, world.control[machine.controlAt]!, clock(world, machine))
    machine.controlAt += 1
  }
  look(world, machine)
  if (purse.ended && purse.calls.size === 0 && purse.waiting.size === 0 && world.draw.chance(0.3)) begin(world, machine)
}

export function look(world: World, machine: Machine): void {
  for (const [id, admission] of wake(machine.purse!, clock(world, machine))) answer(world, machine, id, admission)
  tell(world, machine)
}

/** The next thing that happens to a call: the provider takes its money, or its end is booked. */
export function proceed(world: World, machine: Machine): void {
  const { draw, mode } = world
  const call = machine.underWay[draw.below(machine.underWay.length)]
  if (call === undefined || machine.purse === null) return
  if (call.state === 'admitted') {
    const onLedger = call.tolls.every(
      ({ node }) =>
        // Of a run that was named here nothing has to be told at first.
        call.reports.get(node) === 0 ||
        machine.disk
          .slice(0, machine.shipped)
          .flatMap(reportsIn)
          .some(told => told.node === node && told.report >= call.reports.get(node)!),
    )
    if (mode !== 'spool' && !onLedger) return
    // It may be paused right after it looked, too: then only its hold on the ledger helps, and that is there.
    if (mode === 'spool' || mayStillSpend(machine.purse, call.tolls, clock(world, machine))) {
      const cost = 1 + draw.below(call.bound)
      call.cost = draw.chance(0.02) ? call.bound + draw.below(20) : cost
      call.state = 'charged'
      check(
        world,
        call.tolls.map(toll => toll.node),
      )
    } else end(world, machine, call)
  } else end(world, machine, call)
}

function end(world: World, machine: Machine, call: Call): void {
  settle(machine.purse!, call.id, call.cost)
  if (world.flaw === 'overruns that take from nobody')
    for (const { node } of call.tolls) machine.purse!.pockets.get(node)!.returned -= Math.max(0, call.cost - call.hold)
  if (settle(machine.purse!, call.id, call.cost)) world.wrongs.push(`settled twice: ${call.id}`)
  call.state = 'settled'
  machine.underWay.splice(machine.underWay.indexOf(call), 1)
  look(world, machine)
}
