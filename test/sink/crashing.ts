import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { header } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import { partitionOf } from '../../services/io/log/partitioner.ts'
import type { Opened } from '../clickhouse/opened.ts'
import { llm, producer, tool, under, work } from '../clickhouse/tell.ts'
import { until } from '../support/until.ts'
import type { SinkOrder } from './process.ts'

/** Numbers from a seed (mulberry32), so that a failure can be had again. */
export function seeded(seed: number) {
  let a = seed >>> 0
  const random = (): number => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return { random, between: (from: number, to: number): number => from + Math.floor(random() * (to - from)) }
}
export type Chance = ReturnType<typeof seeded>

export const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
export const seconds = Number(process.env['CRASH_SECONDS'] ?? 6)

/** A gateway at work; now and then it dies and what it had sent last is sent again. */
export type Load = {
  /** By event id, what each event cost. */
  readonly sent: ReadonlyMap<string, number>
  readonly records: () => number
  readonly stop: () => Promise<void>
}

/** With `spread` its runs go to so many partitions, and each event says which one came before it there. */
export function startLoad(
  slot: number,
  { random, between }: Chance,
  append: (messages: readonly Message[]) => Promise<void>,
  spread = 1,
): Load {
  const say = producer(`gateway-crash-${slot}`, 1 + slot)
  const sent = new Map<string, number>()
  let records = 0
  const last = new Map<number, number>()
  let over = false
  const run = async () => {
    const recent: Message[] = []
    for (let n = 0; !over; n++) {
      const name = `run-${slot}-${n >> 5}`
      const messages = Array.from({ length: between(1, 40) }, (): Message => {
        const cost_nano_usd = between(0, 1_000_000)
        const kind = random()
        const who = kind < 0.5 || kind > 0.8 ? work(name) : under(`${name}-child`, name)
        const fact = kind > 0.8 ? tool(who, { cost_nano_usd }) : llm(who, { cost_nano_usd })
        const message = say(fact, Date.now(), name)
        sent.set(message.headers[header.id]!, cost_nano_usd)
        const partition = partitionOf(name, spread)
        const previous = last.get(partition) ?? -1
        last.set(partition, sent.size - 1)
        return { ...message, headers: { ...message.headers, [header.previous]: String(previous) } }
      })
      recent.push(...messages)
      recent.splice(0, recent.length - 200)
      if (random() < 0.05) messages.push(...recent.slice(-between(1, 200)))
      records += messages.length
      await append(messages)
      await sleep(between(5, 40))
    }
  }
  const done = run()
  return {
    sent,
    records: () => records,
    stop: async () => {
      over = true
      await done
    },
  }
}

/** A sink in a process of its own, that can be killed and started again. */
export function sinkProcess(order: SinkOrder) {
  let child: ChildProcess | null = null
  return {
    start: () => {
      child = fork(new URL('./process.ts', import.meta.url), [JSON.stringify(order)], { execArgv: [] })
    },
    kill: async () => {
      child?.kill('SIGKILL')
      if (child !== null && child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** Waits for the last event, then counts: each once in `events`, and each once in what is filled from it. Gives the count in words. */
export async function assertOnce(opened: Opened, sent: ReadonlyMap<string, number>, ms: number): Promise<string> {
  const count = async () => {
    const [row] = await opened.rows<{ n: number; ids: number }>(
      'SELECT count() AS n, uniqExact(event_id) AS ids FROM events',
    )
    return row!
  }
  await until('the last event', async () => (await count()).ids >= sent.size, ms, 100).catch(() => {})
  const stored = await count()
  const told = `sent ${sent.size}, stored ${stored.n}, lost ${sent.size - stored.ids}, duplicated ${stored.n - stored.ids}`
  assert.deepEqual(stored, { n: sent.size, ids: sent.size }, told)
  const cost = [...sent.values()].reduce((a, b) => a + b, 0)
  // The last batch may be in `events` a moment before it is in the tables that are filled from it.
  const sums = () =>
    opened.rows(
      `SELECT (SELECT sum(cost_nano_usd) FROM calls) AS calls, (SELECT sum(cost_nano_usd) FROM runs) AS runs,
       (SELECT sum(tree_cost_nano_usd) FROM runs WHERE parent_run_id = '') AS trees, (SELECT sum(cost_nano_usd) FROM spend_by_minute) AS spend,
       (SELECT sum(calls) FROM spend_by_minute) AS counted, (SELECT sum(llm_calls + tool_calls) FROM runs) AS counted_runs`,
    )
  const right = [{ calls: cost, runs: cost, trees: cost, spend: cost, counted: sent.size, counted_runs: sent.size }]
  await until('the sums', async () => JSON.stringify(await sums()) === JSON.stringify(right), 10_000, 100).catch(
    () => {},
  )
  assert.deepEqual(await sums(), right)
  assert.deepEqual(await opened.rows('SELECT topic, partition, offset FROM events GROUP BY ALL HAVING count() > 1'), [])
  return told
}
