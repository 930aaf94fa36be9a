import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balance } from '../../services/core/money/purse.ts'
import {
  type Actor,
  enter,
  limitOf,
  openActor,
  openBoss,
  openStage,
  own,
  pay,
  read,
  settleDown,
  tell,
  termMs,
  toll,
} from './simulation/stage.ts'

const node = 'org:o'
/** A call every second: held to 40, costs 10. */
const [holdNanoUsd, cost, everyMs] = [40, 10, 1_000]

function open(capNanoUsd: number, ...names: readonly string[]) {
  const stage = openStage({ [node]: capNanoUsd })
  const boss = openBoss('owner')
  own(stage, boss)
  const actors = names.map(name => openActor(name))
  settleDown(stage, boss, ...actors)
  let calls = 0
  /** So many calls of each; `alone`: nothing is heard of the owner meanwhile. Gives how many were let in. */
  const work = (seconds: number, alone = false): number => {
    let admitted = 0
    for (let i = 0; i < seconds; i++) {
      stage.now += everyMs
      for (const actor of actors) {
        const call = `call-${++calls}`
        let verdict: string | undefined = enter(stage, actor, call, [toll(stage, node, holdNanoUsd)])
        if (verdict === 'wait' && !alone) verdict = settleDown(stage, boss, ...actors).get(call)
        if (verdict !== 'admit') continue
        admitted += 1
        pay(actor, call, cost)
      }
      if (alone) for (const actor of actors) tell(stage, actor, true)
      else settleDown(stage, boss, ...actors)
    }
    return admitted
  }
  return { stage, boss, actors, work }
}
const idle = ({ purse }: Actor): number => balance(purse.pockets.get(node)!)
const lent = (actors: readonly Actor[]): number => actors.reduce((sum, actor) => sum + idle(actor), 0)

for (const names of [['a'], ['a', 'b', 'c']])
  test(`where there is plenty ${names.length} that hear nobody go on until their term is over, and stop there`, () => {
    const { stage, actors, work } = open(100_000, ...names)
    work(20)
    const sentAt = Math.min(...actors.map(({ purse }) => (purse.terms.get(0)?.endsAt ?? 0) - termMs))
    const left = Math.floor((sentAt + termMs - 1 - stage.now) / everyMs)
    assert.ok(left > 45)
    assert.equal(work(left, true), left * names.length)
    stage.now = sentAt + 2 * termMs
    assert.equal(work(3, true), 0)
  })

test('what lies idle for that is an eighth of what is left at most, and all of the cap can be used', () => {
  const { stage, boss, actors, work } = open(4_000, 'a', 'b', 'c')
  let spent = 0
  for (let seconds = 0; seconds < 200; seconds += 5) {
    spent += work(5) * cost
    const free = limitOf(stage, node) - spent
    // Beside it there is what is lent for a burst: of holds, so as much for each as three seconds of calls hold.
    const bursts = actors.length * 5 * holdNanoUsd
    assert.ok(lent(actors) <= free / 8 + bursts, `${lent(actors)} lie idle and ${free} are left after ${seconds} s`)
  }
  assert.ok(spent >= 4_000 - holdNanoUsd && spent <= 4_000, `${spent} were spent`)
  assert.equal(enter(stage, actors[0]!, 'last', [toll(stage, node, holdNanoUsd)]), 'exceeded')
  settleDown(stage, boss, ...actors)
})

test('an owner that has nothing to put by is asked for it seldom', () => {
  const { stage, boss, actors, work } = open(1_000, 'a')
  work(10)
  const before = stage.ledger.filter(({ type }) => type === 'lease.requested').length
  // Each call settles and speaks at once, many times a second.
  for (let i = 0; i < 400; i++) {
    stage.now += 20
    const [a] = actors
    if (a === undefined) throw new Error('there is one')
    if (enter(stage, a, `fast-${i}`, [toll(stage, node, 0)]) === 'admit') pay(a, `fast-${i}`, 0)
    tell(stage, a)
    settleDown(stage, boss, a)
    read(stage, a)
  }
  const asks = stage.ledger.filter(({ type }) => type === 'lease.requested').length - before
  assert.ok(asks <= 4, `${asks} asks in eight seconds`)
})
