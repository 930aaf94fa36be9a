import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breakers } from '../../../schemas/breakers.ts'
import type { Event } from '../../../schemas/events.ts'
import { evict, fold, forget, openRules, replace, runRules } from '../../../services/core/rules/rules.ts'
import {
  answered,
  asked,
  changed,
  failing,
  history,
  llm,
  play,
  policyOf,
  rulesOf,
  spawned,
  times,
  told,
  tool,
} from './given.ts'
import { adopt, restore, snapshot } from './snapshots.ts'

const loopOf = (n: number, of = 'r') => times(n, () => tool('ls', '{}', 'ok', of))

test('a gateway folds the rules that may stop a run, and says what the enforcer says, by the same id', () => {
  const policy = breakers.parse({ errorStreak: { mode: 'shadow' }, cycle: 'off' })
  const events = history([
    ...loopOf(5),
    ...times(12, () => failing('sql')),
    ...times(8, i => tool('x', `${i}`, 'same')),
  ])
  const all = play(openRules(policy, 'v1'), events)
  const own = play(runRules(policy, 'v1'), events)
  assert.deepEqual(told(own), ['loop pause run:r'])
  assert.deepEqual(
    all.filter(({ rule }) => rule === 'loop').map(({ id, evidence }) => [id, evidence]),
    own.map(({ id, evidence }) => [id, evidence]),
  )
  assert.deepEqual(new Set(all.map(({ rule }) => rule)), new Set(['loop', 'errorStreak', 'noProgress', 'errorRate']))
})

test('a policy is replaced without losing what was counted', () => {
  const rules = rulesOf({ loop: { repeats: 5 } })
  const events = history(loopOf(7))
  assert.deepEqual(play(rules, events.slice(0, 8)), [])
  replace(rules, policyOf({ loop: { repeats: 6, action: 'kill' }, errorStreak: {} }), 'v2')
  const [signal, ...more] = play(rules, events.slice(8))
  assert.deepEqual(
    [signal?.rule, signal?.action, signal?.policy_version, signal?.data['repeats']],
    ['loop', 'kill', 'v2', 6],
  )
  assert.deepEqual(more, [])
})

test('what was said under other lines is said again under these', () => {
  const rules = rulesOf({ loop: { action: 'alert' } })
  const events = history(loopOf(12))
  assert.deepEqual(told(play(rules, events.slice(0, 16))), ['loop alert run:r'])
  replace(rules, policyOf({ loop: { action: 'alert' } }), 'v2')
  assert.deepEqual(play(rules, events.slice(16, 20)), [])
  replace(rules, policyOf({ loop: { action: 'pause' } }), 'v3')
  assert.deepEqual(told(play(rules, events.slice(20))), ['loop pause run:r'])
})

test('a rule that was switched off, or looked at other scopes, begins afresh', () => {
  for (const between of [{}, { loop: { scope: 'agent' } }]) {
    const rules = rulesOf({ loop: {} })
    const events = history(loopOf(9))
    play(rules, events.slice(0, 8))
    replace(rules, policyOf(between), 'v2')
    replace(rules, policyOf({ loop: {} }), 'v3')
    assert.deepEqual(play(rules, events.slice(8, 16)), [])
    assert.equal(play(rules, events.slice(16)).length, 1)
  }
})

test('what has been idle is given up, and can be taken up again', () => {
  const rules = rulesOf({ loop: {} })
  const first = history(loopOf(4))
  play(rules, first)
  const idle = evict(rules, (first.at(-1)?.time ?? 0) + 1)
  assert.deepEqual(
    idle.map(([scope]) => scope),
    ['run:r'],
  )
  assert.equal(rules.scopes.size, 0)
  adopt(rules, JSON.parse(JSON.stringify(idle)))
  const [next] = history([tool('ls')]).slice(-1)
  assert.ok(next !== undefined)
  assert.equal(fold(rules, { ...next, id: 'gateway-t.1.900' }).length, 1)
})

test('a run that has ended is forgotten', () => {
  const rules = rulesOf({ loop: {} })
  play(rules, history([...loopOf(3), ...loopOf(3, 's'), changed('run.finished'), changed('run.killed', 's')]))
  assert.equal(rules.scopes.size, 0)
})

test('a scope that is forgotten begins afresh, and has still cost what it has cost', () => {
  const rules = rulesOf({ errorStreak: { scope: 'agent', count: 3 } })
  const events = history(times(6, () => llm('q', null)))
  play(rules, events.slice(0, 4))
  forget(rules, 'agent:a')
  const [signal] = play(rules, events.slice(4))
  assert.equal(signal?.data['errors'], 3)
  assert.equal(signal?.cost_nano_usd, 5_000_000)
})

test('a snapshot is of its moment, though the rules go on', () => {
  const rules = rulesOf({ loop: {} })
  const events = history(loopOf(6))
  play(rules, events.slice(0, 8))
  const then = snapshot(rules)
  const text = JSON.stringify(then)
  play(rules, events.slice(8))
  assert.equal(JSON.stringify(then), text)
  const again = rulesOf({ loop: {} })
  restore(again, JSON.parse(text))
  assert.equal(play(again, events.slice(8)).length, 1)
})

test('the signal of a storm names the run that spawned it, and its place', () => {
  const above = ['root', 'middle', 'parent']
  const storm = times(3, i => spawned(`c${i}`, 'parent', above))
  const [signal] = play(rulesOf({ spawnStorm: { children: 3 } }), history(storm))
  assert.deepEqual(
    [signal?.run_id, signal?.root_run_id, signal?.parent_run_id, signal?.ancestors],
    ['parent', 'root', 'middle', ['root', 'middle']],
  )
})

test('what a scope costs in memory has a bound, whatever happens in it', () => {
  const rules = openRules(breakers.parse({ velocity: { usd: 1 } }), 'v')
  const wish = (i: number) => JSON.stringify({ task: times(300, n => `word${n}of${i}`).join(' ') })
  const kinds = (i: number) => [
    asked('r', `lost ${i}`),
    ...llm(`q${i}`, i % 3 === 0 ? null : `a${i}`, 'r', { attempts: 2, latency_ms: 50_000 }),
    ...tool('surf', wish(i), `${i}`),
    ...failing('sql', `${i}`),
    spawned(`c${i}`, 'r'),
    answered('x', 'y', 'r', { request_id: `unknown ${i}` }),
  ]
  play(rules, history(times(500, kinds).flat(), 10))
  const sizes = snapshot(rules).scopes.map(([scope, kept]) => [scope, JSON.stringify(kept).length] as const)
  for (const [scope, size] of sizes) assert.ok(size < 32_000, `${scope}: ${size} bytes`)
})

test('an event costs no more among a hundred thousand scopes than among a few', () => {
  const policy = breakers.parse({})
  const [one] = history(tool('find')).slice(1)
  assert.ok(one?.type === 'tool.returned')
  const eventOf = (i: number, runs: number): Event => ({
    ...one,
    id: `gateway-t.1.${i}`,
    run_id: `r${i % runs}`,
    agent: `a${i % runs}`,
    result_hash: `${i}`,
  })
  // The best of several rounds: the machine has other things to do, which makes none of them faster.
  const microsOf = (runs: number): number => {
    const rules = openRules(policy, 'v')
    let best = Number.POSITIVE_INFINITY
    let n = 0
    for (const end = runs + 10_000; n < end; ) {
      const events = times(2_000, i => eventOf(n + i, runs))
      const before = process.cpuUsage()
      for (const event of events) fold(rules, event)
      const { user, system } = process.cpuUsage(before)
      n += events.length
      if (n > runs) best = Math.min(best, (user + system) / events.length)
    }
    return best
  }
  const few = microsOf(100)
  const many = microsOf(50_000)
  assert.ok(many < 4 * few + 5, `${few} µs among few, ${many} µs among many`)
})
