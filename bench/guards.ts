import { setTimeout as sleep } from 'node:timers/promises'
import { breakers } from '../schemas/breakers.ts'
import { atMost, type Figure, median } from './figures.ts'
import { clean, type Ground, type Order, type Target } from './ground.ts'
import type { Measurement } from './measurement.ts'
import { cpuSeconds } from './processes.ts'
import { type Guards, type Stack, startStack } from './stack.ts'
import { numberOf } from './warehouse.ts'

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
  // Whoever names a run by a header names it before anybody has asked its owner for money, and waits for that some
  // milliseconds. At an even pace: who waits for answers would put another load on either of them.
  { name: 'ten of a run named by header', order: { shape: { open: 500 } } },
]

/** What budgets and breakers cost a request: two stacks that differ in nothing else, under the same load in turn. */
export const guards: Measurement = {
  name: 'guards',
  needs: 'stack',
  run: async ground => {
    const taken = loads.map((): Turn[] => [])
    const firsts: Figure[] = []
    // What two equal processes differ by is not what they were given to do: more than one of each.
    for (let pair = 0; pair < (ground.quick ? 1 : 2); pair++)
      await withBoth(ground, async both => {
        for (const [i, { order }] of loads.entries()) taken[i]?.push(await inTurn(ground, both, order))
        if (pair === 0) firsts.push(...(await firstCalls(both.on)))
      })
    return [...loads.flatMap(({ name }, i) => figuresOf(name, taken[i] ?? [])), ...firsts]
  },
}

const firstsMade = 200

/** The gateway lends itself what a run that it named begins with; for one that somebody else named its owner is asked. */
async function firstCalls({ origin, headers }: Stack): Promise<readonly Figure[]> {
  const call = async (run: string | null): Promise<number> => {
    const begun = performance.now()
    const body = { model: 'bench', messages: [{ role: 'user', content: `Who is ${run ?? begun}?` }], max_tokens: 1024 }
    const answer = await fetch(`${origin}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', ...(run === null ? {} : { 'x-sluice-run-id': run }) },
      body: JSON.stringify(body),
    })
    await answer.text()
    return performance.now() - begun
  }
  const ms = { own: [] as number[], told: [] as number[] }
  for (let n = 0; n < firstsMade; n++) {
    ms.own.push(await call(null))
    ms.told.push(await call(`first-${n}`))
  }
  const note = `median of ${firstsMade}, one after the other`
  return [
    { name: 'first call of a run that the gateway named', value: median(ms.own), unit: 'ms', note },
    { name: 'first call of a run that a header names', value: median(ms.told), unit: 'ms', note },
  ]
}

type Which = 'on' | 'off'
type Both = Readonly<Record<Which, Stack>>
/** CPU seconds for each request, of the gateway and of the other processes by their titles. */
type Cost = { readonly gateway: number; readonly others: ReadonlyMap<string, number>; readonly answered: number }
type Round = Readonly<Record<Which, Cost>>
/** `rows`: in SQL for each request, whatever the topic. */
type Turn = { readonly rounds: readonly Round[]; readonly rows: Readonly<Record<Which, number>> }

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

const inTurn = async (ground: Ground, both: Both, order: Omit<Order, 'seconds'>): Promise<Turn> => {
  const seconds = ground.quick ? 2 : 4
  const take = async (which: Which): Promise<Cost> => cost(ground, both[which], { ...order, seconds })
  for (const which of ['on', 'off', 'on', 'off'] as const) await take(which)
  const before = { on: await settledRows(both.on), off: await settledRows(both.off) }
  const rounds: Round[] = []
  for (let i = 0; i < (ground.quick ? 4 : 5); i++) {
    // Whoever comes second finds what the first has left: so each comes second in turn.
    if (i % 2 === 0) rounds.push({ on: await take('on'), off: await take('off') })
    else rounds.push({ off: await take('off'), on: await take('on') })
  }
  const rows = async (which: Which): Promise<number> =>
    ((await settledRows(both[which])) - before[which]) / rounds.reduce((sum, round) => sum + round[which].answered, 0)
  return { rounds, rows: { on: await rows('on'), off: await rows('off') } }
}

const cost = async (ground: Ground, stack: Stack, order: Order): Promise<Cost> => {
  const { origin, headers, gatewayPid: pid } = stack
  const target: Target = { name: 'a stack of its own', origin, headers, pid }
  const used = () => new Map(stack.processes().map(one => [one.pid, cpuSeconds(one.pid)]))
  const before = used()
  const { answered } = clean(await ground.drive(target, order), target.name)
  const after = used()
  const each = (one: number): number => ((after.get(one) ?? 0) - (before.get(one) ?? 0)) / answered
  const others = stack.processes().filter(one => one.pid !== pid)
  return { gateway: each(pid), others: new Map(others.map(one => [one.title, each(one.pid)])), answered }
}

/** How many rows there are once none has come for a while. */
const settledRows = async ({ sql }: Stack): Promise<number> => {
  const count = async () => numberOf((await sql('SELECT count() AS rows FROM events'))[0], 'rows')
  for (let known = -1, rounds = 0; ; rounds++) {
    const now = await count()
    if (now === known || rounds === 30) return now
    known = now
    // A batch of the sink is stored within this.
    await sleep(1_000)
  }
}

const figuresOf = (load: string, turns: readonly Turn[]): readonly Figure[] => {
  const rounds = turns.flatMap(turn => turn.rounds)
  const ratios = rounds.map(({ on, off }) => on.gateway / off.gateway)
  const per = (name: string, of: (round: Round) => number): Figure => ({
    name: `${load}: ${name}`,
    value: 1000 * median(rounds.map(of)),
    unit: 'CPU s/1,000 requests',
  })
  const titles = [...(rounds[0]?.off.others.keys() ?? [])].filter(title => !title.endsWith('supervisor'))
  return [
    per('gateway without', ({ off }) => off.gateway),
    per('gateway with caps and breakers', ({ on }) => on.gateway),
    {
      name: `${load}: with against without`,
      ...atMost(median(ratios), 1.1, ''),
      note: `median of ${ratios.length} pairs: ${ratios
        .toSorted((a, b) => a - b)
        .map(ratio => ratio.toFixed(2))
        .join(' ')}`,
    },
    ...titles.flatMap(title => [
      per(`${title} without`, ({ off }) => off.others.get(title) ?? 0),
      per(`${title} with`, ({ on }) => on.others.get(title) ?? 0),
    ]),
    { name: `${load}: rows without`, value: median(turns.map(({ rows }) => rows.off)), unit: 'a request' },
    { name: `${load}: rows with`, value: median(turns.map(({ rows }) => rows.on)), unit: 'a request' },
  ]
}
