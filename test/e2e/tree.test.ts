import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { agentOf, ask, configOf, drain, openRun, post, type Try } from '../../bench/prove/agents.ts'
import { entriesOf, isPhantom, usual } from '../../bench/prove/flood.ts'
import { costOf, startProvider } from '../../bench/prove/provider.ts'
import { sql } from '../support/books.ts'
import { chanceOf, seedOfRun as seed } from '../support/chance.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const limitNanoUsd = 20_000_000
const childNanoUsd = 10_000_000

test(`$0.02 with five children is $0.02, not $0.07 (seed ${seed})`, async t => {
  const provider = await startProvider()
  t.after(provider.close)
  const lead = agentOf('lead')
  const stack = await startStack({ config: configOf(provider.origin, [lead]), env: { SLUICE_WORKERS: '2' } })
  t.after(stack.close)
  const url = stack.told('Gateway')
  const chance = chanceOf(seed)
  const open = (terms: object) => openRun(url, lead, terms)

  const parent = await open({ task: 'tree', budgets: [{ limitUsd: 0.02 }] })
  const children = await Promise.all(
    [1, 2, 3, 4].map(() => open({ parentRunId: parent, budgets: [{ limitUsd: 0.01 }] })),
  )
  const [elder = ''] = children
  const grandchild = await open({ parentRunId: elder, budgets: [{ limitUsd: 0.01 }] })
  // No budget of its own, and told by a header alone.
  const implicit = `implicit-${process.pid}`
  const parentOf = new Map<string, string>([
    ...children.map(id => [id, parent] as const),
    [grandchild, elder],
    [implicit, parent],
  ])
  const capOf = (run: string): number =>
    run === parent ? limitNanoUsd : run === implicit ? Number.POSITIVE_INFINITY : childNanoUsd
  const runs = [parent, ...parentOf.keys()]
  const above = (run: string): readonly string[] => {
    const upper = parentOf.get(run)
    return upper === undefined ? [run] : [run, ...above(upper)]
  }
  const below = (run: string): readonly string[] => runs.filter(one => above(one).includes(run))

  await t.test('nobody below can have more than what is above', async () => {
    for (const budgets of [[{ limitUsd: 5 }], [{ limitUsd: 0.021, window: '30d' }]]) {
      const answer = await post(url, lead.key, '/v1/runs', JSON.stringify({ parentRunId: parent, budgets }))
      assert.ok([201, 400].includes(answer.status), `${answer.status} ${answer.text}`)
      if (answer.status === 400) assert.equal(answer.code, 'invalid_request')
    }
    const grown = await post(url, lead.key, `/v1/runs/${elder}/resume`, '{"budgets": [{"limitUsd": 0.02}]}')
    assert.equal(grown.status, 403)
  })

  const headersOf = (run: string): Record<string, string> => ({
    'x-sluice-run-id': run,
    ...(run === implicit ? { 'x-sluice-parent-run-id': parent } : {}),
  })
  const tries = new Map<string, readonly Try[]>()
  await Promise.all(
    runs.map(async run => {
      const wish = () => ({ ...usual(chance), headers: headersOf(run) })
      tries.set(run, await drain(url, lead, wish, performance.now() + 30_000, { wide: 3 }))
    }),
  )
  const all = [...tries.values()].flat()
  const entries = (run: string) =>
    entriesOf(
      provider,
      below(run).flatMap(one => tries.get(one) ?? []),
    )
  const spent = (run: string): number => entries(run).reduce((sum, entry) => sum + costOf(entry), 0)
  t.diagnostic(
    `spent ${spent(parent)} of ${limitNanoUsd} nano-dollars by ${all.length} tries of ${runs.length} runs: ` +
      runs.map(run => spent(run)).join(', '),
  )

  await t.test('the tree keeps to the budget of its root, and can use it', () => {
    assert.ok(spent(parent) <= limitNanoUsd)
    assert.ok(spent(parent) >= 0.95 * limitNanoUsd)
  })
  await t.test('each run keeps to its own, with all that it spawned', () => {
    for (const run of [...children, grandchild]) assert.ok(spent(run) <= childNanoUsd, `${run} spent ${spent(run)}`)
  })
  await t.test('every run ends with budget_exceeded, and none was refused what would have fitted', () => {
    const codes = new Set(all.filter(one => one.status !== 200).map(one => `${one.status} ${one.code}`))
    assert.deepEqual([...codes].filter(code => code !== '429 budget_contended').sort(), ['402 budget_exceeded'])
    for (const run of runs) {
      const refused = (tries.get(run) ?? []).filter(one => one.status === 402)
      assert.ok(refused.length > 0, `${run} was never refused`)
      const phantom = refused.filter(one => above(run).every(node => isPhantom(one, entries(node), capOf(node))))
      assert.deepEqual(
        phantom.map(one => one.call),
        [],
      )
    }
  })
  await t.test('what is opened when all is spent cannot spend', async () => {
    const late = await open({ parentRunId: parent })
    const answer = await ask(url, lead, { say: 100, headers: headersOf(late) })
    assert.deepEqual([answer.status, answer.code, answer.error['scope']], [402, 'budget_exceeded', `run:${parent}`])
  })
  await t.test('the tables have each run with its own cost, and the root with that of its tree', async () => {
    type Row = { run_id: string; parent_run_id: string; cost_nano_usd: number; tree_cost_nano_usd: number }
    const rows = async () =>
      new Map(
        (await sql<Row>(stack, 'SELECT run_id, parent_run_id, cost_nano_usd, tree_cost_nano_usd FROM runs')).map(
          row => [row.run_id, row],
        ),
      )
    await until('the tree', async () => (await rows()).get(parent)?.tree_cost_nano_usd === spent(parent), 10_000, 100)
    const found = await rows()
    for (const run of runs) {
      const own = entriesOf(provider, tries.get(run) ?? []).reduce((sum, entry) => sum + costOf(entry), 0)
      assert.deepEqual([found.get(run)?.cost_nano_usd, found.get(run)?.parent_run_id], [own, parentOf.get(run) ?? ''])
    }
  })
})

test('the example ends at its budget, not at six times that', async t => {
  const stack = await startStack()
  t.after(() => stack.close())
  const example = path.join(import.meta.dirname, '../../examples/tree.ts')
  const env = { ...stack.env, SLUICE_URL: stack.told('Gateway'), SLUICE_KEY: stack.credentials().agentKey }
  const { stdout } = await promisify(execFile)(process.execPath, [example], { env, timeout: 60_000 })
  t.diagnostic(stdout)
  assert.equal(stdout.split('budget_exceeded by the budget of run:').length - 1, 6)
})
