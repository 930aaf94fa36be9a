import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Agent, agentOf, ask, configOf, type Try, type Wish } from '../../bench/prove/agents.ts'
import { entriesOf } from '../../bench/prove/flood.ts'
import { costOf, type Entry, startProvider } from '../../bench/prove/provider.ts'
import { sql } from '../support/books.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

/** Of a call that may say 4,096 tokens: 16.4 million nano-dollars at most, where the usual one costs 0.2 million. */
const usual: Wish = { maxTokens: 4_096, say: 50 }
const capNanoUsd = 60_000_000
const capped = (name: string): Agent => agentOf(name, { budgets: [{ limitUsd: capNanoUsd / 1e9 }] })

test('near a cap `holds: bound` lets a few calls in at once', async t => {
  const agent = capped('worker')
  const { at, provider } = await open(t, [agent], 'bound')
  await at(agent, 25, usual, 1)
  const tries = await at(agent, 200, { ...usual, waitMs: 2_500 })
  const entries = entriesOf(provider, tries)
  t.diagnostic(`${peakOf(entries)} at once, ${entries.length} of 200 let in`)
  assert.ok(peakOf(entries) <= 3)
  assert.ok(provider.billed() <= capNanoUsd)
  assert.deepEqual(codesOf(tries), ['', 'budget_contended'])
})

test('near a cap `holds: learned` lets many calls in at once, and is passed by no more than the formula says', async t => {
  const [agent, changing, crashing] = [capped('worker'), capped('changing'), capped('crashing')]
  const { at, provider, stack, url } = await open(t, [agent, changing, crashing], 'learned')
  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await (await fetch(`${url}/metrics`)).text())?.[1])

  await t.test('as many as what such calls have used leaves room for', async t => {
    await at(agent, 25, usual, 1)
    const tries = await at(agent, 200, { ...usual, waitMs: 2_500 })
    const entries = entriesOf(provider, tries)
    t.diagnostic(`${peakOf(entries)} at once, ${entries.length} of 200 let in`)
    assert.ok(peakOf(entries) >= 50, `${peakOf(entries)} at once`)
    assert.ok(provider.billed() <= capNanoUsd, 'what they were held to was true')
    assert.deepEqual(codesOf(tries), [''])
    assert.equal(await metric('sluice_hold_overruns'), 0)
  })

  await t.test('an agent that changes its ways passes it by what was in flight, which is told as foreseen', async t => {
    const learnt = await at(changing, 25, usual, 1)
    const tries = await at(changing, 200, { ...usual, say: 400, waitMs: 1_500 })
    const entries = entriesOf(provider, tries)
    const billed = [...entriesOf(provider, learnt), ...entries].reduce((sum, entry) => sum + costOf(entry), 0)
    assert.ok(billed > capNanoUsd, 'else it shows nothing')
    const after = await ask(url, changing, usual)
    assert.deepEqual([after.status, after.code], [402, 'budget_exceeded'], 'from then on nobody is let in')
    const told = async () => {
      const [row] = await sql<{ calls: number; bound: number; held: number }>(
        stack,
        `SELECT count() AS calls, sum(bound_nano_usd) AS bound,
         sum(if(JSONHas(data, 'held'), JSONExtractInt(data, 'held', 'nano_usd'), bound_nano_usd)) AS held
         FROM events WHERE type = 'admission.granted' AND agent = 'changing'`,
      )
      const overruns = await sql<{ holds: string; calls: number; beyond: number }>(
        stack,
        `SELECT JSONExtractString(data, 'holds') AS holds, count() AS calls,
         sum(JSONExtractInt(data, 'beyond_nano_usd')) AS beyond
         FROM events WHERE type = 'admission.bound_violated' GROUP BY holds`,
      )
      return row?.calls === learnt.length + entries.length ? { ...row, overruns } : null
    }
    const overrun = await metric('sluice_hold_overruns')
    const isWhole = async () => ((await told())?.overruns[0]?.calls === overrun ? told() : null)
    const { bound, held, overruns } = (await until('the rows', isWhole, 15_000, 200))! // gives what is true
    t.diagnostic(`${billed} of ${capNanoUsd} billed; the formula allows ${capNanoUsd + bound - held}`)
    assert.ok(billed <= capNanoUsd + bound - held)
    assert.deepEqual(
      overruns.map(({ holds }) => holds),
      ['learned'],
    )
    assert.ok(billed <= capNanoUsd + (overruns[0]?.beyond ?? 0))
    assert.equal(await metric('sluice_bound_violations'), 0, 'none cost more than it could')
  })

  await t.test('and the books can be proved, also after a crash with such calls under way', async () => {
    await at(crashing, 25, usual, 1)
    const under = Promise.all([1, 2, 3].map(() => ask(url, crashing, { ...usual, waitMs: 5_000 })))
    const open = () => provider.books.filter(entry => entry.state === 'open')
    await until('three at the provider', () => open().length === 3)
    const gateway = stack.processes().find(({ title }) => title === 'sluice:gateway')
    process.kill(gateway!.pid, 'SIGKILL')
    await under
    await until('another gateway', async () => (await ask(url, crashing, usual)).status !== 0, 15_000, 100)
    const { code, stdout, stderr } = await stack.cli('verify')
    assert.equal(code, 0, stdout + stderr)
  })
})

async function open(
  t: { after(act: () => Promise<void>): void },
  agents: readonly Agent[],
  holds: 'bound' | 'learned',
) {
  const provider = await startProvider()
  t.after(provider.close)
  const stack: Stack = await startStack({ config: configOf(provider.origin, agents, { holds }) })
  t.after(stack.close)
  const url = stack.told('Gateway')
  /** So many calls, so many at a time. */
  const at = async (agent: Agent, calls: number, wish: Wish, wide = calls): Promise<readonly Try[]> => {
    const tries: Try[] = []
    let left = calls
    const one = async () => {
      while (left-- > 0) tries.push(await ask(url, agent, wish))
    }
    await Promise.all(Array.from({ length: wide }, one))
    return tries
  }
  return { provider, stack, url, at }
}

const codesOf = (tries: readonly Try[]) => [...new Set(tries.map(one => one.code))].sort()

/** The most that were at the provider in the same moment. */
function peakOf(entries: readonly Entry[]): number {
  const atOnce = entries.map(
    one =>
      entries.filter(({ begunAt, endedAt }) => begunAt <= one.begunAt && one.begunAt < (endedAt ?? Infinity)).length,
  )
  return Math.max(0, ...atOnce)
}
