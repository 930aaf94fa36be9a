import assert from 'node:assert/strict'
import { test } from 'node:test'
import { balance } from '../../services/core/money/purse.ts'
import { enter, openActor, openBoss, openStage, own, pay, settleDown, toll } from './simulation/stage.ts'

/** Calls that cost more than was held for them: a provider's mistake, or what learned holds run into. */

const org = 'org:o'
function open(limit: number) {
  const stage = openStage({ [org]: limit })
  const boss = openBoss('first')
  own(stage, boss)
  const a = openActor('a')
  const tolls = (hold: number) => [toll(stage, org, hold)]
  const settled = () => settleDown(stage, boss, a)
  settled()
  const left = () => balance(a.purse.pockets.get(org)!)
  const booked = () => {
    const { spent, leased, beyond } = boss.owner.books.nodes.get(org)!
    return { spent, leased, beyond }
  }
  return { stage, a, tolls, settled, left, booked }
}

test('what a call costs beyond its hold is taken from what is lent to its gateway', () => {
  const { stage, a, tolls, settled, left, booked } = open(1_000)
  enter(stage, a, 'first', tolls(20))
  settled()
  const before = left()
  assert.ok(before >= 15, 'more is lent than is held')
  pay(a, 'first', 35)
  assert.equal(left(), before - 15)
  settled()
  const { spent, leased, beyond } = booked()
  assert.deepEqual([spent, beyond, leased], [35, 15, left()], 'and the owner counts it once')
})

test('a gateway that has spent more than it was lent is let in for what still fits, and for no more', () => {
  const { stage, a, tolls, settled, left, booked } = open(100)
  enter(stage, a, 'first', tolls(30))
  settled()
  pay(a, 'first', 75)
  assert.ok(left() < 0, 'it has spent more than it was lent')
  assert.equal(enter(stage, a, 'second', tolls(25)), 'wait')
  assert.equal(settled().get('second'), 'admit')
  pay(a, 'second', 25)
  assert.equal(enter(stage, a, 'third', tolls(1)), 'wait')
  assert.equal(settled().get('third'), 'exceeded')
  assert.deepEqual(booked(), { spent: 100, leased: 0, beyond: 45 })
})
