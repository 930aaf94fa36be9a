import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { topics } from '../schemas/topics.ts'
import { logOf } from '../test/support/books.ts'
import { main, type Stack, startStack } from '../test/support/stack.ts'
import { makeHistory } from './books/history.ts'
import { conditions, describe } from './conditions.ts'
import { lineOf } from './figures.ts'
import { cpuSeconds, memory } from './processes.ts'

/**
 * `node bench/books.ts [--calls 1000000]`
 *
 * How long `sluice verify` takes for so many calls, and how much memory: beside a stack with a real enforcer, sink and
 * warehouse, on a history of runs of ten calls under caps of the run, its agent, its team and the organisation. Two
 * events for each call and two for each run are rows, and so is each word on the ledger. Exit code 1 where the books differ.
 */
const { values: flags } = parseArgs({ options: { calls: { type: 'string', default: '1000000' } } })
const calls = Number(flags.calls)
const callsOfRun = 10

const config = {
  org: { budgets: [{ limitUsd: 9_000_000, window: '1mo' }] },
  teams: Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [`team-${i}`, { budgets: [{ limitUsd: 1_000_000 }] }]),
  ),
  agents: Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [
      `agent-${i}`,
      { team: `team-${i % 10}`, budgets: [{ limitUsd: 100_000, window: '1d' }] },
    ]),
  ),
  runs: { defaults: { budgets: [{ limitUsd: 2 }] } },
}

console.log(describe(conditions(`${calls.toLocaleString('en-GB')} calls`)))
const stack = await startStack({ config: JSON.stringify(config), roles: ['enforcer', 'sink', 'warehouse'] })
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stack.close().finally(() => process.exit(130)))
try {
  const began = performance.now()
  await makeHistory(stack.env, { calls, callsOfRun }, made => shown(`${made} calls`))
  const written = performance.now()
  const rows = await stored(stack)
  print('history written', (written - began) / 1000, 's', `${Math.round((1000 * calls) / (written - began))} calls/s`)
  print('until all of it was rows', (performance.now() - written) / 1000, 's')
  const { code, seconds, cpu, peakMb, said } = await verified(stack)
  print('records and rows', rows, '')
  print('sluice verify', seconds, 's', `${Math.round(rows / seconds)} records/s, ${cpu.toFixed(1)} s of CPU`)
  print('memory at most', peakMb, 'MB')
  console.log(`\n${said}`)
  process.exitCode = code
} finally {
  await stack.close()
}

function print(name: string, value: number, unit: string, note?: string): void {
  console.log(lineOf({ name, value, unit, ...(note === undefined ? {} : { note }) }))
}

function shown(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${text} `)
}

/** Waits until the sink has been through all topics; gives how many records that were. */
async function stored(stack: Stack): Promise<number> {
  const log = logOf(stack)
  try {
    for (;;) {
      let [all, left] = [0, 0]
      for (const { name: topic } of [topics.events, topics.ledger, topics.control, topics.alerts])
        for (const partition of await log.partitions(topic)) {
          const at = { topic, partition }
          const { end } = await log.bounds(at)
          all += end
          left += end - ((await log.committed('sink', at))?.offset ?? 0)
        }
      if (left === 0) return all
      shown(`${left} records to go`)
      await sleep(250)
    }
  } finally {
    await log.close()
  }
}

/** A process of its own, looked at while it lives. */
async function verified({ env, dataDir }: Stack) {
  const began = performance.now()
  const child = spawn(process.execPath, [main, 'verify'], { env, cwd: dataDir, stdio: ['ignore', 'pipe', 'inherit'] })
  let [said, peakMb, cpu] = ['', 0, 0]
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const looking = setInterval(() => {
    try {
      peakMb = memory(child.pid ?? 0).peakMb || peakMb
      cpu = cpuSeconds(child.pid ?? 0)
    } catch {
      // It ended while we looked.
    }
  }, 50)
  const code = await new Promise<number>(resolve => child.once('close', code => resolve(code ?? 1)))
  clearInterval(looking)
  return { code, seconds: (performance.now() - began) / 1000, cpu, peakMb, said }
}
