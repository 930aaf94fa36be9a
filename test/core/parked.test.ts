import assert from 'node:assert/strict'
import { test } from 'node:test'
import { park } from '../../services/core/money/lease.ts'
import { usualSettings } from '../../services/core/money/purse.ts'
import { type Actor, enter, openActor, openBoss, openStage, own, pay, settleDown, toll } from './simulation/stage.ts'

const run = 'run:r/life'
const limit = 100

function open() {
  const stage = openStage({ [run]: limit })
  const boss = openBoss('owner')
  own(stage, boss)
  const [first, second] = [openActor('one'), openActor('two')]
  const calm = () => settleDown(stage, boss, first, second)
  calm()
  const mintedBy = { gateway: 'one', epoch: 1 }
  let calls = 0
  /** A call that costs what it holds; whether it was let in. */
  const spend = (actor: Actor, amount: number, isNew = false): boolean => {
    const call = `call-${++calls}`
    let verdict: string | undefined = enter(stage, actor, call, [
      toll(stage, run, amount, { mintedBy, isNew, version: 0 }),
    ])
    if (verdict === 'wait') verdict = calm().get(call)
    if (verdict === 'admit') pay(actor, call, amount)
    calm()
    return verdict === 'admit'
  }
  const idle = () => {
    stage.now += usualSettings.idleMs
    for (const actor of [first, second])
      for (let i = 0; i < 2; i++) {
        park(actor.purse, stage.now)
        calm()
      }
  }
  return { stage, boss, first, second, spend, idle, book: () => boss.owner.books.nodes.get(run)! }
}

test('a run that idles gives back what it was lent, and no more is kept of it than its totals', () => {
  const { first, spend, idle, book } = open()
  assert.ok(spend(first, 10, true))
  assert.ok(book().leased > 0)
  idle()
  assert.deepEqual([first.purse.pockets.size, first.purse.parked.size], [0, 1])
  const { spent, leased, presumed } = book()
  assert.deepEqual({ spent, leased, presumed }, { spent: 10, leased: 0, presumed: 0 })
})

test('a run that idles asks for nothing, and nothing is decided of it', () => {
  const { stage, first, spend, idle } = open()
  // What a burst of so much fades to within that time is still an amount.
  stage.limits.set(run, 1e12)
  assert.ok(spend(first, 1e9, true))
  idle()
  idle()
  assert.deepEqual(
    stage.ledger.filter(message => message.type === 'lease.requested'),
    [],
  )
  assert.ok(!stage.control.some(record => 'node' in record && record.node === run))
})

test('a run that goes on after it idled goes on where it was: nothing is counted twice or forgotten', () => {
  const { first, second, spend, idle, book } = open()
  assert.ok(spend(first, 10, true))
  idle()
  assert.ok(spend(first, 30))
  idle()
  assert.ok(spend(second, 20))
  idle()
  assert.ok(spend(first, 30))
  assert.equal(book().spent, 90)
  assert.ok(!spend(first, 20) && !spend(second, 20), 'the cap holds over all of it')
  assert.ok(spend(second, 10))
  idle()
  const { spent, leased, presumed } = book()
  assert.deepEqual({ spent, leased, presumed }, { spent: limit, leased: 0, presumed: 0 })
})
