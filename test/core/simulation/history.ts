import { arrive, type Enforcer, fold, follow, openEnforcer, think } from './enforcer.ts'
import { crash, type Machine, newCall, openMachine, proceed, readControl, restart, ship, tell } from './machine.ts'
import { check, type Flaw, openWorld, setLimit, type World } from './world.ts'

export type Outcome = Pick<World, 'wrongs' | 'seen' | 'mode' | 'keepsLease'>

/** One random history of gateways and enforcers on slow, delayed and absent logs. The same seed gives the same history. */
export function history(
  seed: number,
  flaw: Flaw | null = null,
  fixed: Parameters<typeof openWorld>[2] = {},
  steps = 1500,
): Outcome {
  const world = openWorld(seed, flaw, fixed)
  const { draw } = world
  const machines = Array.from({ length: 1 + draw.below(4) }, (_, i) => openMachine(world, i))
  const enforcers: Enforcer[] = [openEnforcer(world, 'enforcer-0')]
  for (let step = 0; step < steps && world.wrongs.length === 0; step++) {
    pass(world)
    const roll = draw.below(1000)
    if (roll < 640) stepOf(world, pick(world, machines), machines)
    else if (roll < (world.isDeadly ? 980 : 992)) thinkOf(world, pick(world, enforcers))
    else disturb(world, machines, enforcers)
  }
  check(world, world.callsAt.keys())
  return world
}

const pick = <T>(world: World, of: readonly T[]): T => of[world.draw.below(of.length)]!

/** Mostly moments, at times seconds, seldom longer than a term. */
function pass(world: World): void {
  const { draw } = world
  const roll = draw.below(1000)
  world.now += roll < 970 ? draw.below(8) : roll < 995 ? draw.below(400) : draw.below(roll === 999 ? 3_000 : 800)
}

function stepOf(world: World, machine: Machine, machines: readonly Machine[]): void {
  const { draw, now } = world
  if (now < machine.pausedUntil) return
  if (machine.purse === null) {
    if (draw.chance(world.isDeadly ? 0.01 : 0.05)) restart(world, machine)
    return
  }
  const isOnline = now >= machine.awayUntil && now >= world.logsAwayUntil
  const roll = draw.below(100)
  if (roll < 22) newCall(world, machine, machines.flatMap(other => other.runs).slice(-8))
  else if (roll < 55) proceed(world, machine)
  else if (roll < 75) isOnline && ship(world, machine, 1 + draw.below(12))
  else if (roll < 97) isOnline && readControl(world, machine, 1 + draw.below(draw.chance(0.7) ? 1_000 : 10))
  else tell(world, machine)
}

function thinkOf(world: World, enforcer: Enforcer): void {
  const { draw, now } = world
  if (now < enforcer.pausedUntil || now < world.logsAwayUntil) return
  // Mostly a whole round, at times stopped anywhere in it.
  const isQuick = draw.chance(0.6)
  const roll = draw.below(100)
  if (isQuick || roll < 30)
    fold(world, enforcer, 1 + draw.below(world.hasSlowLedger ? 5 : draw.chance(0.7) ? 1_000 : 10))
  if (isQuick || (roll >= 30 && roll < 60)) follow(world, enforcer, 1 + draw.below(draw.chance(0.7) ? 1_000 : 10))
  if (isQuick || (roll >= 60 && roll < 80)) think(world, enforcer)
  if (isQuick ? draw.chance(0.8) : roll >= 80) arrive(world, enforcer)
}

function disturb(world: World, machines: readonly Machine[], enforcers: Enforcer[]): void {
  const { draw, now } = world
  const machine = pick(world, machines)
  const long = () => now + draw.below(draw.chance(0.4) ? 6_000 : 500)
  switch (draw.below(8)) {
    case 0:
      if (machine.purse !== null) crash(world, machine)
      return
    case 1:
      machine.pausedUntil = long()
      return
    case 2:
      machine.awayUntil = long()
      return
    case 3:
      pick(world, enforcers).pausedUntil = long()
      return
    case 4:
      // The old ones live on and do not know.
      enforcers.push(openEnforcer(world, `enforcer-${enforcers.length}-${now}`))
      if (enforcers.length > 3) enforcers.shift()
      return
    case 5:
      if (draw.chance(0.3)) world.logsAwayUntil = long()
      return
    case 6:
      machine.wallOffset = draw.chance(0.3) ? (draw.below(3) - 1) * 3_600_000 : 0
      return
    default: {
      const nodes = [...world.limits.keys()]
      if (nodes.length === 0) return
      const node = pick(world, nodes)
      setLimit(world, node, Math.max(1, Math.round((world.limits.get(node)! * (50 + draw.below(110))) / 100)))
    }
  }
}
