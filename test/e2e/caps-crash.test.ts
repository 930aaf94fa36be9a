import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Agent, agentOf, configOf, drain, steady, type Try } from '../../bench/prove/agents.ts'
import { entriesOf, isPhantom, usual } from '../../bench/prove/flood.ts'
import { costOf, startProvider } from '../../bench/prove/provider.ts'
import { drained, logOf, sql } from '../support/books.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { kill9, startChaos } from '../support/chaos.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const linux = process.platform !== 'linux' && 'processes are found by /proc'
const rounds = Number(process.env['CRASH_ROUNDS'] ?? 3)
/** Small enough to be near its end while processes die. */
const capNanoUsd = 15_000_000
const loadMs = 5_000

test(`gateways and enforcer killed under load: no cap is passed, and what was lent is free again (seed ${seed})`, {
  skip: linux,
}, async t => {
  const provider = await startProvider()
  t.after(provider.close)
  const agents = Array.from({ length: rounds }, (_, i) =>
    agentOf(`capped-${i + 1}`, { budgets: [{ limitUsd: capNanoUsd / 1e9 }] }),
  )
  const stack = await startStack({ config: configOf(provider.origin, agents), env: { SLUICE_WORKERS: '3' } })
  t.after(stack.close)
  const log = logOf(stack)
  t.after(() => log.close())
  const url = stack.told('Gateway')
  const chance = chanceOf(seed)
  const wish = () => usual(chance)
  const ready = () => until('the gateways', async () => (await fetch(`${url}/ready`)).ok, 20_000)

  const crash = async (agent: Agent) => {
    // Slow enough for several to be under way in each gateway whenever it dies.
    const load = steady(url, agent, () => ({ ...wish(), waitMs: chance.between(300, 1_000) }), 12)
    const chaos = startChaos({
      chance,
      pauseMs: [400, 1_500],
      acts: { gateway: kill9(stack, 'gateway', chance), enforcer: kill9(stack, 'enforcer+sink', chance) },
    })
    await sleep(loadMs)
    await chaos.stop().finally(load.stop)
    await ready()
    return { tries: load.tries, kills: chaos.kills }
  }

  for (const [i, agent] of agents.entries())
    await t.test(`round ${i + 1}`, async t => {
      const { tries, kills } = await crash(agent)
      const began = performance.now()
      // A lease that died with its gateway stands in nobody's way: the term would be a minute.
      const rest = await drain(url, agent, wish, began + 25_000, { wide: 4, again: mayCome })
      const last = await drain(url, agent, () => ({ say: 100 }), began + 30_000, { wide: 1, again: mayCome })
      const freeMs = performance.now() - began
      const all = [...tries, ...rest, ...last]
      const entries = entriesOf(provider, all)
      const billed = entries.reduce((sum, entry) => sum + costOf(entry), 0)
      // Who was cut off by a crash is not told what it cost, so it is booked at its bound.
      const cut = entries.filter(entry => entry.state !== 'done').length
      // There may be more rows than the provider has entries: a call that died on its way there is booked all the same.
      await drained(stack, log, 20_000)
      const { cost = 0, calls = 0 } = (await sql<{ cost: number; calls: number }>(stack, bookedBy(agent)))[0] ?? {}
      const budget = await spentAt(agent)
      t.diagnostic(
        `killed gateway ${kills['gateway'] ?? 0}, enforcer ${kills['enforcer'] ?? 0}; ${all.length} tries, ` +
          `${entries.length} calls, ${cut} cut off, ${calls} booked; billed ${billed}, booked ${cost}, budget ${JSON.stringify(budget)}, ` +
          `spent to its end after ${freeMs.toFixed()} ms`,
      )
      assert.ok(billed <= capNanoUsd, `${billed} nano-dollars were billed`)
      assert.ok(cost >= billed, `drift of ${cost - billed} nano-dollars`)
      assert.equal(last.at(-1)?.code, 'budget_exceeded', 'it was spent to its end')
      assert.ok(cost >= 0.95 * capNanoUsd, `only ${cost} nano-dollars could be used`)
      assert.equal(budget.spent_nano_usd + budget.presumed_nano_usd, cost, 'the ledger says what the calls say')
      const phantoms = all.filter(one => one.status === 402 && Number(one.error['spent_nano_usd']) > cost)
      assert.deepEqual(phantoms, [])
      if (cost === billed) assert.ok(all.every(one => one.status !== 402 || !isPhantom(one, entries, capNanoUsd)))
    })

  await t.test('the books can be proved afterwards', async () => {
    const { code, stdout, stderr } = await stack.cli('verify')
    assert.equal(code, 0, stdout + stderr)
  })

  async function spentAt({ name }: Agent) {
    const read = async () => {
      const told = await stack.cli('budgets', '--scope', `agent:${name}`, '--json')
      const [one] = JSON.parse(told.stdout) as readonly { spent_nano_usd: number; presumed_nano_usd: number }[]
      return one ?? { spent_nano_usd: 0, presumed_nano_usd: 0 }
    }
    return read()
  }
})

const bookedBy = ({ name }: Agent): string =>
  `SELECT sum(cost_nano_usd) AS cost, count() AS calls FROM calls WHERE agent = '${name}' AND outcome != 'blocked'`

/** A gateway that died, one that is starting, or other calls' holds. */
const mayCome = ({ status }: Try): boolean => status === 429 || status === 503 || status === 0
