import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { header } from '../../schemas/envelope.ts'
import type { Message } from '../../schemas/events.ts'
import { llm, producer, tool, under, work } from '../clickhouse/tell.ts'
import { until } from '../support/until.ts'
import { startTestWarehouse, type TestWarehouse } from '../support/warehouse.ts'
import { events, openBench } from './bench.ts'

/** Numbers from a seed (mulberry32), so that a failure can be had again. */
function seeded(seed: number): () => number {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const seconds = Number(process.env['CRASH_SECONDS'] ?? 8)

test(`sink and warehouse killed at random: every event is stored once, and so are the sums (seed ${seed})`, async t => {
  const random = seeded(seed)
  const between = (from: number, to: number) => from + Math.floor(random() * (to - from))
  await using bench = await openBench()
  const { url, dataDir, users } = bench.opened.warehouse
  const port = Number(new URL(url).port)
  let warehouse: TestWarehouse = bench.opened.warehouse
  let sink: ChildProcess | null = null
  const order = { dir: bench.dir, url, password: users.sluice, topics: [events], rows: 400, lingerMs: 30 }
  const startSink = () => {
    sink = fork(new URL('./process.ts', import.meta.url), [JSON.stringify(order)], { execArgv: [] })
  }
  const killSink = async () => {
    sink?.kill('SIGKILL')
    if (sink?.exitCode === null && sink.signalCode === null) await once(sink, 'exit')
  }

  let over = false
  const sent = new Map<string, number>()
  let records = 0
  /** Two gateways at work; now and then one dies and what it had sent last is sent again. */
  const load = async (partition: number) => {
    const say = producer(`gateway-crash-${partition}`, 1 + partition)
    const recent: Message[] = []
    for (let n = 0; !over; n++) {
      const run = `run-${partition}-${n >> 5}`
      const messages = Array.from({ length: between(1, 40) }, () => {
        const cost = between(0, 1_000_000)
        const kind = random()
        const message =
          kind < 0.5
            ? say(llm(work(run), { cost_nano_usd: cost }))
            : kind < 0.8
              ? say(llm(under(`${run}-child`, run), { cost_nano_usd: cost }))
              : say(tool(work(run), { cost_nano_usd: cost }))
        sent.set(message.headers[header.id]!, cost)
        return message
      })
      recent.push(...messages)
      recent.splice(0, recent.length - 200)
      if (random() < 0.05) messages.push(...recent.slice(-between(1, 200)))
      records += messages.length
      await bench.append(messages, events, partition)
      await sleep(between(1, 20))
    }
  }
  const loads = [load(0), load(1)]
  startSink()
  let kills = 0
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; kills++) {
    await sleep(between(50, 900))
    const whom = random()
    if (whom < 0.7) await killSink()
    if (whom > 0.5) {
      await warehouse.kill9()
      if (random() < 0.5) await sleep(between(10, 300))
      warehouse = await startTestWarehouse({ dataDir, port })
    }
    if (whom < 0.7) startSink()
  }
  over = true
  await Promise.all(loads)
  try {
    const stored = await until(
      'the rest',
      async () => {
        const [row] = await bench.opened.rows<{ n: number; ids: number }>(
          'SELECT count() AS n, uniqExact(event_id) AS ids FROM events',
        )
        return row!.ids >= sent.size ? row : null
      },
      30_000,
      100,
    )
    await until('the marks', async () => {
      const marks = await Promise.all(
        [0, 1].map(partition => bench.log.committed('sink', { topic: events, partition })),
      )
      return marks.reduce((sum, mark) => sum + (mark?.offset ?? 0), 0) === records
    })
    t.diagnostic(
      `seed ${seed}: ${kills} kills; records ${records}, sent ${sent.size}, stored ${stored!.n}, lost ${sent.size - stored!.ids}, duplicated ${stored!.n - stored!.ids}`,
    )
    assert.deepEqual(stored, { n: sent.size, ids: sent.size })
    const cost = [...sent.values()].reduce((a, b) => a + b, 0)
    const [sums] = await bench.opened.rows(
      `SELECT (SELECT sum(cost_nano_usd) FROM calls) AS calls, (SELECT sum(cost_nano_usd) FROM runs) AS runs,
       (SELECT sum(tree_cost_nano_usd) FROM runs WHERE parent_run_id = '') AS trees, (SELECT sum(cost_nano_usd) FROM spend_by_minute) AS spend,
       (SELECT sum(calls) FROM spend_by_minute) AS counted, (SELECT sum(llm_calls + tool_calls) FROM runs) AS counted_runs`,
    )
    assert.deepEqual(sums, {
      calls: cost,
      runs: cost,
      trees: cost,
      spend: cost,
      counted: sent.size,
      counted_runs: sent.size,
    })
    const places = await bench.opened.rows(
      'SELECT topic, partition, offset FROM events GROUP BY ALL HAVING count() > 1',
    )
    assert.deepEqual(places, [])
  } finally {
    await killSink()
    await warehouse.stop()
  }
})
