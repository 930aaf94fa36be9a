import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { breakers } from '../../../schemas/breakers.ts'
import { type RuleSignal, ruleSignal } from '../../../schemas/signal.ts'
import { fold, openRules, type Rules, replace } from '../../../services/core/rules/rules.ts'
import { restore, type Snapshot, snapshot } from './snapshots.ts'
import { type Placed, policy, ruleNames, world } from './worlds.ts'

/** `SEED` plays the same histories again; a failure prints its own. */
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const runs = { seed, numRuns: 60 }

const tell = (rules: Rules, placed: readonly Placed[]) =>
  placed.flatMap(({ event, partition }) => fold(rules, event, partition))
const asJson = (rules: Rules): Snapshot => JSON.parse(JSON.stringify(snapshot(rules)))

test('every rule is under these laws', () => {
  assert.deepEqual([...ruleNames, 'volatile'].toSorted(), Object.keys(breakers.shape).toSorted())
})

test(`what was folded at once, or cut anywhere with a snapshot between, says the same (seed ${seed})`, () => {
  const spoke = new Set<string>()
  fc.assert(
    fc.property(world('w'), policy, fc.array(fc.nat(300), { maxLength: 4 }), (history, knobs, cuts) => {
      const live = openRules(knobs, 'v')
      const said = tell(live, history)
      for (const { rule } of said) spoke.add(rule)
      let rules = openRules(knobs, 'v')
      const again = history.flatMap((placed, i) => {
        if (cuts.includes(i)) {
          const state = asJson(rules)
          rules = openRules(knobs, 'v')
          restore(rules, state)
        }
        return tell(rules, [placed])
      })
      assert.deepEqual(again, said)
      assert.deepEqual(asJson(rules), asJson(live))
    }),
    runs,
  )
  // Laws that no rule was tried by prove nothing.
  assert.deepEqual([...spoke].toSorted(), ruleNames.toSorted())
})

test(`read again from any earlier place, an event changes nothing and says nothing (seed ${seed})`, () => {
  fc.assert(
    fc.property(world('w'), policy, fc.nat(300), fc.nat(300), (history, knobs, from, at) => {
      const rules = openRules(knobs, 'v')
      const once = tell(openRules(knobs, 'v'), history)
      const before = tell(rules, history.slice(0, at))
      const state = asJson(rules)
      // A partition is read again on its own, in its order.
      for (const partition of [2, 0, 1])
        assert.deepEqual(
          tell(
            rules,
            history.slice(Math.min(from, at), at).filter(placed => placed.partition === partition),
          ),
          [],
        )
      assert.deepEqual(asJson(rules), state)
      assert.deepEqual([...before, ...tell(rules, history.slice(at))], once)
    }),
    runs,
  )
})

test(`rules of runs by whoever has their partition, and wide ones by one, say what one says who folds all (seed ${seed})`, () => {
  fc.assert(
    fc.property(world('w'), policy, policy, fc.nat(300), (history, knobs, others, change) => {
      const all = openRules(knobs, 'v')
      const wide = openRules(knobs, 'v', 'wide')
      const owners = [0, 1].map(() => openRules(knobs, 'v', 'of runs'))
      for (const [i, { event, partition }] of history.entries()) {
        if (i === change) for (const each of [all, wide, ...owners]) replace(each, others, 'v2')
        const shared = [wide, owners[partition % 2] ?? wide].flatMap(each => fold(each, event, partition))
        const byId = (signals: readonly RuleSignal[]) => new Map(signals.map(signal => [signal.id, signal]))
        assert.deepEqual(byId(shared), byId(fold(all, event, partition)))
      }
    }),
    runs,
  )
})

test(`strangers do not meet: the events of others, however interleaved, change nothing (seed ${seed})`, () => {
  fc.assert(
    fc.property(world('w'), world('x'), policy, fc.infiniteStream(fc.boolean()), (ours, theirs, knobs, whose) => {
      const alone = openRules(knobs, 'v')
      const said = tell(alone, ours)
      const rules = openRules(knobs, 'v')
      const mixed: Placed[] = []
      for (let i = 0, j = 0; i < ours.length || j < theirs.length; ) {
        const isOurs = j >= theirs.length || (i < ours.length && whose.next().value === true)
        mixed.push((isOurs ? ours[i++] : theirs[j++]) as Placed) // the index was within its length
      }
      const ofUs = (text: string) => /(?:^|[:/-])w/.test(text)
      assert.deepEqual(
        tell(rules, mixed).filter(({ scope }) => ofUs(scope)),
        said,
      )
      const known = new Map(asJson(rules).scopes)
      for (const [scope, kept] of asJson(alone).scopes) assert.deepEqual(known.get(scope), kept)
    }),
    runs,
  )
})

test(`a signal is what its schema says, names its cause last, and has an id of its own (seed ${seed})`, () => {
  fc.assert(
    fc.property(world('w'), policy, (history, knobs) => {
      const rules = openRules(knobs, 'v')
      const ids = new Set<string>()
      for (const { event, partition } of history)
        for (const signal of fold(rules, event, partition)) {
          assert.deepEqual(ruleSignal.parse(signal), signal)
          assert.ok(signal.id.startsWith(event.id))
          assert.ok(!ids.has(signal.id))
          ids.add(signal.id)
          assert.ok(signal.evidence.length > 0 && signal.evidence.length <= 24)
          assert.equal(signal.evidence.at(-1), event.id)
        }
    }),
    runs,
  )
})
