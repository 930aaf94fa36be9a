import assert from 'node:assert/strict'
import { test } from 'node:test'
import { history } from './simulation/history.ts'
import {
  enter,
  fold,
  openActor,
  openBoss,
  openStage,
  own,
  pay,
  read,
  rule,
  settleDown,
  tell,
  termMs,
  think,
  toll,
} from './simulation/stage.ts'
import type { Flaw } from './simulation/world.ts'

/** A check that cannot fail proves nothing: the protocol is broken on purpose, and the cap has to break with it. */

/** The first seed at which the flaw shows, of so many that chance does not hide it. */
function caught(flaw: Flaw): number | null {
  for (let seed = 1; seed <= 600; seed++) if (history(seed, flaw).wrongs.length > 0) return seed
  return null
}

for (const flaw of [
  'charging after the response',
  'no fencing',
  'decisions out of order',
  'overruns that take from nobody',
] as const)
  test(`the simulation catches ${flaw}`, () => {
    assert.notEqual(caught(flaw), null)
  })

const org = 'org:o'
function open() {
  const stage = openStage({ [org]: 100 })
  const boss = openBoss('first')
  own(stage, boss)
  const [a, b] = [openActor('a'), openActor('b')]
  settleDown(stage, boss, a, b)
  return { stage, boss, a, b, all: () => [toll(stage, org, 100)] }
}

test('the cap breaks where heartbeats need no acknowledgement', () => {
  const { stage, boss, a, b, all } = open()
  enter(stage, a, 'a1', all())
  assert.equal(settleDown(stage, boss, a).get('a1'), 'admit')
  pay(a, 'a1', 0)
  tell(stage, a)
  for (let i = 0; i < 10; i++) {
    stage.now += termMs / 8
    settleDown(stage, boss, b)
    tell(stage, a, true)
    a.purse.terms.get(0)!.endsAt = stage.now + termMs
  }
  enter(stage, b, 'b1', all())
  assert.equal(settleDown(stage, boss, b).get('b1'), 'admit')
  assert.equal(enter(stage, a, 'a2', all()), 'admit', 'twice the cap is out')
})

test('the cap breaks where a new owner grants before its fold has caught up', () => {
  const { stage, boss, a, all } = open()
  enter(stage, a, 'a1', all())
  settleDown(stage, boss, a)
  pay(a, 'a1', 100)
  tell(stage, a)
  fold(stage, boss)
  stage.now += termMs * 2
  rule(stage, boss)
  const next = openBoss('second')
  own(stage, next)
  const c = openActor('c')
  enter(stage, c, 'c1', all())
  const [, ask] = tell(stage, c)
  // The ask came to it by another way than in order.
  stage.ledger.unshift(ask!)
  fold(stage, next, 1)
  assert.deepEqual(think(stage, next), [])
  next.owner.books.named = {}
  assert.ok(think(stage, next).some(record => record.type === 'lease.granted' && record.granted_nano_usd === 100))
})

test('the cap breaks where an epoch is ended before its last holds are read', () => {
  const { stage, boss, a, all } = open()
  enter(stage, a, 'a1', all())
  tell(stage, a)
  rule(stage, boss)
  assert.equal(read(stage, a).get('a1'), 'admit')
  const folded = stage.ledger.length
  tell(stage, a)
  stage.now += termMs * 2
  assert.deepEqual(think(stage, boss), [])
  // As if the ledger ended where the owner stands.
  stage.control.push(...think(stage, { ...boss, owner: { ...boss.owner, silentSince: new Map() } }, folded))
  assert.ok(stage.control.some(record => record.type === 'gateway.expired' && record.ledger_offsets[0] === folded))
  const { spent, presumed, leased } = boss.owner.books.nodes.get(org)!
  assert.deepEqual([spent, presumed, leased], [0, 0, 0], 'the whole cap is free, and the whole cap is held')
})

test('the cap breaks where nobody presumes what a gateway used of its run without a word', () => {
  const stage = openStage({ run: 320 })
  const boss = openBoss('first')
  own(stage, boss)
  const [a, b] = [openActor('a'), openActor('b')]
  settleDown(stage, boss, a, b)
  const ofRun = (hold: number, isNew = false) => [toll(stage, 'run', hold, { mintedBy: a.purse.life, isNew })]
  assert.equal(enter(stage, a, 'a1', ofRun(10, true)), 'admit')
  enter(stage, b, 'b1', ofRun(1))
  assert.equal(settleDown(stage, boss, b).get('b1'), 'admit')
  for (const lease of boss.owner.books.nodes.get('run')!.leases.values()) lease.silent = 0
  stage.now += termMs * 2
  settleDown(stage, boss, b)
  enter(stage, b, 'b2', ofRun(319))
  assert.equal(settleDown(stage, boss, b).get('b2'), 'admit', 'ten more are under way elsewhere')
})
