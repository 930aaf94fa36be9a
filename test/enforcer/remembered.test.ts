import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { dismiss } from '../../services/core/rules/kept.ts'
import { fold, openRules, type Rules, replace } from '../../services/core/rules/rules.ts'
import { remember, rulesLimits } from '../../services/enforcer/remembered.ts'
import { openShelf } from '../../services/enforcer/shelf.ts'
import { history, play, policyOf, times, tool } from '../core/rules/given.ts'
import { snapshot } from '../core/rules/snapshots.ts'
import { policy, world } from '../core/rules/worlds.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

const dirOf = (t: TestContext): string => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-shelf-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}
/** What is known of each scope, without how it was kept. */
const known = (rules: Rules) => snapshot(rules).scopes.map(([scope, { round, ...kept }]) => [scope, kept] as const)

test(`rules that forget what is on the shelf, or die, say what rules say that never forget (seed ${seed})`, async t => {
  const dir = dirOf(t)
  let n = 0
  await fc.assert(
    fc.asyncProperty(
      world('w'),
      policy,
      policy,
      fc.array(fc.tuple(fc.nat(300), fc.constantFrom('forget', 'die')), { maxLength: 4 }),
      fc.nat(300),
      async (history, knobs, others, cuts, change) => {
        const live = openRules(knobs, 'v')
        const name = `rules-${n++}`
        let shelf = openShelf(dir, name, rulesLimits)
        let rules = openRules(knobs, 'v')
        let remembered = remember(rules, shelf)
        for (const [i, { event, partition }] of history.entries()) {
          for (const [, how] of cuts.filter(([at]) => at === i)) {
            await remembered.keep({ 0: i })
            rules.scopes.clear()
            if (how === 'forget') continue
            shelf.close()
            shelf = openShelf(dir, name, rulesLimits)
            rules = openRules(rules.policy, 'v')
            remembered = remember(rules, shelf)
            assert.deepEqual(remembered.offsets, { 0: i })
          }
          if (i === change) for (const each of [live, rules]) replace(each, others, 'v')
          assert.deepEqual(fold(rules, event, partition), fold(live, event, partition))
        }
        const all = new Map(known(live))
        for (const [scope, kept] of known(rules)) assert.deepEqual(kept, all.get(scope), scope)
        shelf.close()
      },
    ),
    { seed, numRuns: 40 },
  )
})

test('what is kept is of the moment at which that was asked for, though rules go on while it is written', async t => {
  const shelf = openShelf(dirOf(t), 'some', rulesLimits)
  t.after(() => shelf.close())
  const rules = openRules(policyOf({ loop: {}, errorRate: {} }), 'v')
  const remembered = remember(rules, shelf)
  // So many runs that they are not written in one slice.
  const events = history(
    [1, 2].flatMap(n => times(700, i => tool('ls', '{}', `${n}`, `r${i}`))),
    1,
  )
  const check = () => {
    const expected = known(rules)
    return () => {
      for (const [scope, kept] of expected) {
        const { round, ...read } = rules.shelf?.take(scope) ?? assert.fail(scope)
        assert.deepEqual(read, kept, scope)
      }
    }
  }
  play(rules, events.slice(0, 1_400))
  const isOfThen = check()
  const keeping = remembered.keep({})
  play(rules, events.slice(1_400))
  await keeping
  isOfThen()
  await remembered.keep({})
  check()()
})

test('a policy that came while a run was only on the shelf holds for it as for all others', async t => {
  const shelf = openShelf(dirOf(t), 'some', rulesLimits)
  t.after(() => shelf.close())
  const events = history(times(8, () => tool('ls')))
  for (const [between, expected] of [
    [{ loop: {} }, 1],
    [{}, 0],
    [{ loop: { scope: 'agent' } }, 0],
  ] as const) {
    const rules = openRules(policyOf({ loop: {} }), 'v')
    const remembered = remember(rules, shelf)
    rules.heard.clear()
    play(rules, events.slice(0, 8))
    await remembered.keep({})
    rules.scopes.clear()
    replace(rules, policyOf(between), 'v2')
    replace(rules, policyOf({ loop: {} }), 'v3')
    assert.equal(play(rules, events.slice(8)).length, expected)
    for (const scope of ['run:r', 'agent:a']) dismiss(rules, scope)
    await remembered.keep({})
  }
})

test('what a shelf knows is of one moment: a keep that fails leaves what was kept before', async t => {
  const shelf = openShelf(dirOf(t), 'some', rulesLimits)
  t.after(() => shelf.close())
  await shelf.keep({ at: 1 }, [['a', { n: 1 }]])
  await assert.rejects(
    shelf.keep({ at: 2 }, [
      ['a', null],
      ['b', { n: 2n }],
    ]),
  )
  assert.deepEqual([shelf.head(), [...shelf.all()]], [{ at: 1 }, [['a', { n: 1 }]]])
  await shelf.keep({ at: 3 }, [
    ['a', null],
    ['b', { n: 3 }],
  ])
  assert.deepEqual([shelf.head(), shelf.take('a'), shelf.take('b')], [{ at: 3 }, null, { n: 3 }])
})

test('what nobody has changed between two turns of a shelf is gone, and nothing else is', async t => {
  const shelf = openShelf(dirOf(t), 'some', { rows: 1, idleMs: rulesLimits.idleMs })
  t.after(() => shelf.close())
  await shelf.keep({}, [['a', 1]])
  assert.equal(shelf.isFull(), false)
  await shelf.keep({}, [['b', 1]])
  assert.equal(shelf.isFull(), true)
  shelf.turn()
  await shelf.keep({}, [['a', 2]])
  assert.deepEqual(Object.fromEntries(shelf.all()), { a: 2, b: 1 })
  shelf.turn()
  assert.deepEqual(Object.fromEntries(shelf.all()), { a: 2 })
})

test('a shelf that is damaged is none: the next life begins without it', async t => {
  const dir = dirOf(t)
  const before = openShelf(dir, 'some', rulesLimits)
  await before.keep({ at: 1 }, [['a', 1]])
  before.close()
  fs.writeFileSync(path.join(dir, 'some.sqlite'), 'no database, but long enough to be taken for one'.repeat(400))
  assert.throws(() => openShelf(dir, 'some', rulesLimits))
  const after = openShelf(dir, 'some', rulesLimits)
  t.after(() => after.close())
  assert.equal(after.head(), null)
})
