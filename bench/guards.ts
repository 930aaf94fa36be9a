import { breakers } from '../schemas/breakers.ts'
import { atMost, type Figure, median } from './figures.ts'
import { clean, type Ground, type Order, type Target } from './ground.ts'
import type { Measurement } from './measurement.ts'
import { cpuSeconds } from './processes.ts'
import { type Guards, type Stack, startStack } from './stack.ts'

/** Caps on every node of the path, none of them near its end, and the rules as they come; against neither. */
const on: Guards = {
  budgets: {
    run: [{ limitUsd: 2 }],
    agent: [{ limitUsd: 1_000_000, window: '1d' }],
    team: [{ limitUsd: 1_000_000, window: '30d' }],
  },
}
const off: Guards = {
  breakers: Object.fromEntries(
    Object.keys(breakers.shape)
      .filter(rule => rule !== 'volatile')
      .map(rule => [rule, 'off']),
  ),
}

const steps = 10
const loads: readonly { readonly name: string; readonly order: Omit<Order, 'seconds'> }[] = [
  { name: 'a call, a run', order: { shape: { closed: 32, steps: 1 } } },
  { name: `agents of ${steps} steps`, order: { model: `bench,asks=${steps - 1}`, shape: { closed: 32, steps } } },
  // Whoever names a run by a header names it before anybody has asked its owner for money.
  { name: 'ten at once, run by header', order: { shape: { closed: 32 } } },
]

/** What budgets and breakers cost a request: two stacks that differ in nothing else, under the same load in turn. */
export const guards: Measurement = {
  name: 'guards',
  needs: 'stack',
  run: async ground => {
    const rounds = loads.map((): Round[] => [])
    // What two equal processes differ by is not what they were given to do: more than one of each.
    for (let pair = 0; pair < (ground.quick ? 1 : 2); pair++)
      await withBoth(ground, async both => {
        for (const [i, { order }] of loads.entries()) rounds[i]?.push(...(await inTurn(ground, both, order)))
      })
    return loads.flatMap(({ name }, i) => figuresOf(name, rounds[i] ?? []))
  },
}

type Both = Readonly<Record<'on' | 'off', Stack>>
type Cost = { readonly gateway: number; readonly others: number }
/** CPU seconds for each request. */
type Round = Readonly<Record<'on' | 'off', Cost>>

const withBoth = async ({ direct }: Ground, measure: (both: Both) => Promise<void>): Promise<void> => {
  const stacks: Stack[] = []
  const start = async (guards: Guards): Promise<Stack> => {
    const stack = await startStack(direct.origin, guards)
    stacks.push(stack)
    return stack
  }
  try {
    await measure({ on: await start(on), off: await start(off) })
  } finally {
    for (const stack of stacks) await stack.stop()
  }
}

const inTurn = async (ground: Ground, both: Both, order: Omit<Order, 'seconds'>): Promise<readonly Round[]> => {
  const seconds = ground.quick ? 2 : 4
  const take = async (which: keyof Both): Promise<Cost> => cost(ground, both[which], { ...order, seconds })
  for (const which of ['on', 'off', 'on', 'off'] as const) await take(which)
  const rounds: Round[] = []
  for (let i = 0; i < (ground.quick ? 4 : 5); i++) {
    // Whoever comes second finds what the first has left: so each comes second in turn.
    if (i % 2 === 0) rounds.push({ on: await take('on'), off: await take('off') })
    else rounds.push({ off: await take('off'), on: await take('on') })
  }
  return rounds
}

const cost = async (ground: Ground, stack: Stack, order: Order): Promise<Cost> => {
  const { origin, headers, gatewayPid: pid } = stack
  const target: Target = { name: 'a stack of its own', origin, headers, pid }
  const others = (): number =>
    stack.processes().reduce((sum, one) => (one.pid === pid ? sum : sum + cpuSeconds(one.pid)), 0)
  const before = [cpuSeconds(pid), others()] as const
  const { answered } = clean(await ground.drive(target, order), target.name)
  return { gateway: (cpuSeconds(pid) - before[0]) / answered, others: (others() - before[1]) / answered }
}

const figuresOf = (load: string, rounds: readonly Round[]): readonly Figure[] => {
  const ratios = rounds.map(({ on, off }) => on.gateway / off.gateway)
  const per = (name: string, of: (round: Round) => number): Figure => ({
    name: `${load}: ${name}`,
    value: 1000 * median(rounds.map(of)),
    unit: 'CPU s/1,000 requests',
  })
  return [
    per('gateway without', ({ off }) => off.gateway),
    per('gateway with caps and breakers', ({ on }) => on.gateway),
    {
      name: `${load}: with against without`,
      ...atMost(median(ratios), 1.1, ''),
      note: `median of ${rounds.length} pairs: ${ratios
        .toSorted((a, b) => a - b)
        .map(ratio => ratio.toFixed(2))
        .join(' ')}`,
    },
    per('other roles without', ({ off }) => off.others),
    per('other roles with', ({ on }) => on.others),
  ]
}
