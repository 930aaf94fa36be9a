import assert from 'node:assert/strict'
import { test } from 'node:test'
import { budget } from '../../schemas/budget.ts'
import {
  breachOf,
  type LimitedRun,
  lifeLimit,
  noLimits,
  type RunLimits,
  widens,
} from '../../services/core/runs/limits.ts'

const of = (limits: Partial<RunLimits>): RunLimits => ({ ...noLimits, ...limits })
const usd = (limitUsd: number, window?: string) =>
  budget.parse({ limitUsd, ...(window === undefined ? {} : { window }) })
const run = (id: string, more: Partial<LimitedRun> = {}): LimitedRun => ({
  id,
  limits: noLimits,
  steps: 0,
  children: 0,
  startedAt: 0,
  ...more,
})

test('terms below others may be equal or narrower, never wider', () => {
  const above = [of({ budgets: [usd(10), usd(5, '1d')], maxSteps: 20 }), of({ maxSteps: 10 })]
  for (const limits of [{ maxSteps: 10 }, { budgets: [usd(10)] }, { budgets: [usd(5, '1d'), usd(8, '2d')] }, {}])
    assert.equal(widens(of(limits), above), null, JSON.stringify(limits))
  for (const limits of [
    { maxSteps: 11 },
    { budgets: [usd(10.01)] },
    { budgets: [usd(6, '1d')] },
    { budgets: [usd(11, '2d')] },
  ])
    assert.match(widens(of(limits), above) ?? '', /is more than/, JSON.stringify(limits))
})

test('the tightest limit along the way counts, and says whose it is', () => {
  const parent = run('parent', { limits: of({ maxSteps: 3, maxDepth: 1 }), children: 2, startedAt: 100 })
  const child = run('child', { limits: of({ maxSteps: 5 }), steps: 3, startedAt: 200 })
  const code = (isNew: boolean, defaults: object, now = 200) => {
    const breach = breachOf(child, [parent], 1, isNew, defaults, now)
    return breach === null ? null : `${breach.code} ${breach.runId} ${breach.limit}`
  }
  assert.equal(code(false, {}), 'max_steps_exceeded child 3')
  assert.equal(code(true, { maxChildren: 2 }), 'max_children_exceeded parent 2')
  assert.equal(code(true, { maxChildren: 3 }), 'max_steps_exceeded child 3')
  assert.equal(code(false, { maxDurationMs: 150 }, 250), 'run_expired parent 150')
  assert.equal(breachOf(run('deep'), [parent, run('middle')], 2, true, {}, 0)?.code, 'max_depth_exceeded')
  assert.equal(breachOf(run('free'), [], 0, true, {}, 1e12), null)
  assert.equal(lifeLimit([usd(3), usd(2), usd(1, '1d')]), 2_000_000_000)
})
