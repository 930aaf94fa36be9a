import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { foldControl, foldLedger } from '../../services/core/money/booking.ts'
import { headroom, openBooks } from '../../services/core/money/books.ts'
import { isUnpledged, mayStillSpend } from '../../services/core/money/lease.ts'
import { balance } from '../../services/core/money/purse.ts'
import { lastWords, reportsIn, unspent } from '../../services/core/money/reports.ts'
import {
  enter,
  fold,
  follow,
  limitOf,
  marginMs,
  openActor,
  openBoss,
  openStage,
  own,
  pay,
  placeOf,
  read,
  rule,
  type Stage,
  settleDown,
  tell,
  termMs,
  think,
  toll,
  wall0,
} from './simulation/stage.ts'

const org = 'org:o'

/** One owner that owns, and gateways whose terms run. */
function open(limits: Readonly<Record<string, number>>, ...names: readonly string[]) {
  const stage = openStage(limits)
  const boss = openBoss('first')
  own(stage, boss)
  const actors = names.map(name => openActor(name))
  settleDown(stage, boss, ...actors)
  return { stage, boss, actors, a: actors[0]!, b: actors[1]! }
}
const take = (stage: Stage, hold: number) => [toll(stage, org, hold)]
const takenAt = ({ owner }: ReturnType<typeof openBoss>, node = org) => {
  const { spent, presumed, leased, limit } = owner.books.nodes.get(node)!
  return { spent, presumed, leased, limit: limit?.nanoUsd }
}

test('an owner that was paused and wakes after a takeover can do no harm', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 100))
  tell(stage, a)
  fold(stage, boss)
  const late = think(stage, boss)
  assert.ok(late.some(record => record.type === 'lease.granted' && record.granted_nano_usd === 100))
  const next = openBoss('second')
  own(stage, next)
  // The new owner never hears of a's ask before b has the whole cap.
  stage.ledger.length -= tell(stage, b).length + 1
  enter(stage, b, 'b1', take(stage, 100))
  assert.equal(settleDown(stage, next, b).get('b1'), 'admit')
  stage.control.push(...late)
  read(stage, a)
  assert.equal(a.purse.pockets.get(org)!.granted, 0)
  follow(stage, boss)
  assert.equal(boss.owner.phase, 'fenced')
  assert.deepEqual(rule(stage, boss), [])
  follow(stage, next)
  assert.equal(takenAt(next).leased, 100)
})

test('of two candidates that take over at once one owns', () => {
  const stage = openStage()
  const [one, two] = [openBoss('one'), openBoss('two')]
  own(stage, one)
  // Both read an empty log, both chose epoch 1: `two` arrives later.
  const late = { ...stage.control[0]!, owner: 'two' }
  two.owner.epoch = 1
  two.owner.phase = 'marked'
  stage.control.push(late)
  for (const boss of [one, two]) rule(stage, boss)
  assert.equal(one.owner.phase, 'deciding')
  assert.equal(two.owner.phase, 'fenced')
})

test('a new owner grants nothing before it knows what an expired gateway spent', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 100))
  settleDown(stage, boss, a)
  pay(a, 'a1', 90)
  tell(stage, a)
  stage.now += termMs + marginMs + 1
  assert.ok(rule(stage, boss).some(record => record.type === 'gateway.expired'))
  const next = openBoss('second')
  own(stage, next)
  const asked = openActor('c')
  enter(stage, asked, 'c1', take(stage, 50))
  const ask = tell(stage, asked)
  // It reads c's ask before the ledger of a: whatever order, it has to be at the place that the expiry names.
  for (const message of ask) foldLedger(next.owner.books, message, placeOf(0))
  assert.deepEqual(think(stage, next), [])
  fold(stage, next)
  const answer = think(stage, next)
  assert.ok(answer.some(record => record.type === 'budget.exhausted' && record.spent_nano_usd === 90))
  assert.ok(!answer.some(record => record.type === 'lease.granted'))
  assert.ok(b.purse.life.epoch === 1)
})

test('a gateway is not ended before what it admitted in its term was read', () => {
  const { stage, boss, a } = open({ [org]: 100 }, 'a')
  enter(stage, a, 'a1', take(stage, 20))
  settleDown(stage, boss, a)
  stage.now += termMs - 1
  assert.equal(enter(stage, a, 'a2', take(stage, 15)), 'admit')
  tell(stage, a)
  // The owner's reader of the ledger stands still while its clock goes on.
  stage.now += marginMs + 2
  assert.deepEqual(think(stage, boss), [])
  fold(stage, boss)
  const after = think(stage, boss)
  assert.ok(!after.some(record => record.type === 'gateway.expired'), 'a beat stood unread')
  assert.equal(boss.owner.books.nodes.get(org)!.leases.get('a.1')!.held, 35)
})

test('what a dead gateway admitted last is presumed before its lease is free', () => {
  const { stage, boss, a } = open({ [org]: 100 }, 'a')
  enter(stage, a, 'a1', take(stage, 20))
  settleDown(stage, boss, a)
  assert.equal(enter(stage, a, 'a2', take(stage, 15)), 'admit')
  tell(stage, a)
  stage.now += termMs + marginMs + 1
  assert.deepEqual(think(stage, boss), [], 'its ledger ends where the owner has not read')
  fold(stage, boss)
  assert.ok(think(stage, boss).some(record => record.type === 'gateway.expired'))
  assert.deepEqual(takenAt(boss), { spent: 0, presumed: 35, leased: 0, limit: 100 })
})

test('a gateway whose heartbeats nobody acknowledges admits nothing after its term', () => {
  const { stage, a } = open({ [org]: 100 }, 'a')
  a.purse.pockets.clear()
  for (let i = 0; i < 8; i++) {
    stage.now += termMs / 8
    tell(stage, a)
  }
  assert.equal(enter(stage, a, 'a1', take(stage, 1)), 'log_unavailable')
})

test('a gateway paused in the middle of an admission, beyond its term, does not call the upstream; its hold is presumed', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  const tolls = take(stage, 30)
  enter(stage, a, 'a1', tolls)
  assert.equal(settleDown(stage, boss, a).get('a1'), 'admit')
  tell(stage, a)
  for (let i = 0; i < 10; i++) {
    stage.now += (termMs + marginMs) / 8
    settleDown(stage, boss, b)
  }
  assert.equal(mayStillSpend(a.purse, tolls, stage.now), false)
  assert.deepEqual(takenAt(boss), { spent: 0, presumed: 30, leased: 0, limit: 100 })
  read(stage, a)
  assert.equal(a.purse.ended, true)
  // It was called all the same: late truth is always booked.
  pay(a, 'a1', 12)
  settleDown(stage, boss, a, b)
  assert.deepEqual(takenAt(boss), { spent: 12, presumed: 0, leased: 0, limit: 100 })
})

test('in any order, doubled and cut anywhere, the two logs give the same books', () => {
  const { stage, boss, a, b } = open({ [org]: 100, 'team:t': 60 }, 'a', 'b')
  for (let i = 0; i < 12; i++) {
    const actor = i % 2 === 0 ? a : b
    enter(stage, actor, `c${i}`, [toll(stage, 'team:t', 5), toll(stage, org, 5)])
    settleDown(stage, boss, a, b)
    if (i % 3 > 0) pay(actor, `c${i}`, 3 + (i % 4))
    settleDown(stage, boss, a, b)
  }
  stage.now += termMs
  const sums = (books: ReturnType<typeof openBooks>) =>
    [...books.nodes.values()]
      .map(book => [book.node, book.spent, book.presumed, book.leased, book.beyond, headroom(book)])
      .sort()
  const whole = openBooks(0)
  for (const [at, record] of stage.control.entries()) foldControl(whole, record, at)
  for (const [at, message] of stage.ledger.entries()) foldLedger(whole, message, placeOf(at))
  const places = stage.ledger.map((_, at) => at)
  const orders = fc.shuffledSubarray(places, { minLength: places.length })
  fc.assert(
    fc.property(orders, fc.array(fc.constantFrom(...places)), fc.nat(stage.control.length), (order, twice, cut) => {
      const books = openBooks(0)
      for (const record of stage.control.slice(0, cut)) foldControl(books, record, 0)
      for (const at of [...order, ...twice]) foldLedger(books, stage.ledger[at]!, placeOf(at))
      for (const record of stage.control.slice(cut)) foldControl(books, record, 0)
      assert.deepEqual(sums(books), sums(whole))
    }),
  )
})

test('of two gateways that ask for the last cent one gets it, and the other is refused once it is spent', () => {
  const { stage, boss, a, b } = open({ [org]: 10 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 10))
  enter(stage, b, 'b1', take(stage, 10))
  const first = settleDown(stage, boss, a, b)
  assert.deepEqual([first.get('a1'), first.get('b1')], ['admit', undefined])
  pay(a, 'a1', 10)
  assert.equal(settleDown(stage, boss, a, b).get('b1'), 'exceeded')
  assert.equal(enter(stage, b, 'b2', take(stage, 1)), 'exceeded')
  assert.deepEqual(tell(stage, b), [], 'no ask reaches the owner for what it refused already')
})

test('of gateways that each have a part of what is left one gets all of it, and the call that fits is made', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 4 }), bursts => {
      const names = bursts.map((_, i) => `g${i}`)
      const { stage, boss, actors } = open({ [org]: 100 }, ...names)
      // Each gets a lease for a burst of small calls, and so a part of the cap that none of them uses.
      for (const [i, actor] of actors.entries()) {
        for (let n = 0; n < bursts[i]!; n++) enter(stage, actor, `${names[i]}.${n}`, take(stage, 2))
        settleDown(stage, boss, ...actors)
        for (let n = 0; n < bursts[i]!; n++) pay(actor, `${names[i]}.${n}`, 1)
        settleDown(stage, boss, ...actors)
      }
      const { spent } = takenAt(boss)
      const answers = new Map<string, string>()
      for (const actor of actors) enter(stage, actor, `${actor.purse.life.gateway} all`, take(stage, 100 - spent))
      for (let waited = 0; waited < 1_900 && answers.size === 0; waited += 100) {
        stage.now += 100
        for (const [call, verdict] of settleDown(stage, boss, ...actors)) answers.set(call, verdict)
      }
      assert.deepEqual([...answers.values()], ['admit'])
    }),
    { numRuns: 50 },
  )
})

test('a call that only the holds of others keep out is contended, never exceeded', () => {
  const { stage, boss, a, b } = open({ [org]: 10 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 10))
  settleDown(stage, boss, a)
  enter(stage, b, 'b1', take(stage, 10))
  settleDown(stage, boss, a, b)
  stage.now += 2_000
  assert.equal(settleDown(stage, boss, a, b).get('b1'), 'contended')
})

test('an idle lease elsewhere is called back before anyone is refused', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 20))
  settleDown(stage, boss, a)
  pay(a, 'a1', 1)
  tell(stage, a)
  assert.ok(balance(a.purse.pockets.get(org)!) > 10)
  enter(stage, b, 'b1', take(stage, 95))
  assert.equal(settleDown(stage, boss, a, b).get('b1'), 'admit')
})

test('a recall that crosses a top-up takes the top-up back as well', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 20))
  tell(stage, a)
  enter(stage, b, 'b1', take(stage, 70))
  // a's grant and the recall that b's ask causes are on control before a reads either.
  tell(stage, b)
  rule(stage, boss)
  rule(stage, boss)
  const answers = settleDown(stage, boss, a, b)
  assert.deepEqual([answers.get('a1'), answers.get('b1')], ['admit', 'admit'])
  const { leased, limit } = takenAt(boss)
  assert.ok(leased <= limit!)
})

test('a cap lowered below what is spent refuses; raised within the window it lets in at once what fits', () => {
  const { stage, boss, a } = open({ [org]: 100 }, 'a')
  enter(stage, a, 'a1', take(stage, 60))
  settleDown(stage, boss, a)
  pay(a, 'a1', 60)
  stage.limits.set(org, 50)
  boss.owner.books.dirty.add(org)
  settleDown(stage, boss, a)
  enter(stage, a, 'a2', take(stage, 5))
  assert.equal(settleDown(stage, boss, a).get('a2'), 'exceeded')
  stage.limits.set(org, 80)
  boss.owner.books.dirty.add(org)
  settleDown(stage, boss, a)
  enter(stage, a, 'a3', take(stage, 20))
  assert.equal(settleDown(stage, boss, a).get('a3'), 'admit')
  assert.equal(takenAt(boss).spent, 60)
})

test('a call in flight while its window closes is booked where it was admitted', () => {
  const { stage, boss, a } = open({ day1: 10, day2: 10 }, 'a')
  stage.spans.set('day1', { opensAt: wall0, closesAt: wall0 + 1_000 })
  stage.spans.set('day2', { opensAt: wall0 + 1_000, closesAt: wall0 + 9_000 })
  enter(stage, a, 'a1', [toll(stage, 'day1', 10)])
  assert.equal(settleDown(stage, boss, a).get('a1'), 'admit')
  stage.now += 1_500
  enter(stage, a, 'a2', [toll(stage, 'day2', 10)])
  assert.equal(settleDown(stage, boss, a).get('a2'), 'admit')
  pay(a, 'a1', 7)
  pay(a, 'a2', 9)
  settleDown(stage, boss, a)
  assert.deepEqual([takenAt(boss, 'day1').spent, takenAt(boss, 'day2').spent], [7, 9])
})

test('a machine whose clock is an hour off spends in no window that is not open, and disturbs nobody', () => {
  const { stage, boss, a, b } = open({ now: 10, later: 10 }, 'a', 'b')
  stage.spans.set('later', { opensAt: wall0 + 3_600_000, closesAt: null })
  enter(stage, a, 'a1', [toll(stage, 'later', 5)])
  enter(stage, b, 'b1', [toll(stage, 'now', 5)])
  const answers = settleDown(stage, boss, a, b)
  assert.deepEqual([answers.get('a1'), answers.get('b1')], [undefined, 'admit'])
  // Monotonic clocks may say anything: only their speed counts.
  const far = openActor('far', 1, 3_600_000)
  settleDown(stage, boss, far)
  enter(stage, far, 'f1', [toll(stage, 'now', 5)])
  assert.equal(settleDown(stage, boss, far, b).get('f1'), 'admit')
})

test('the run that a gateway named needs no asking, and the other half is for whoever uses it elsewhere', () => {
  const { stage, boss, a, b } = open({ run: 100 }, 'a', 'b')
  const mintedBy = a.purse.life
  assert.equal(enter(stage, a, 'a1', [toll(stage, 'run', 50, { mintedBy, isNew: true })]), 'admit')
  // b is heard first: a's spool is still on its way.
  enter(stage, b, 'b1', [toll(stage, 'run', 50, { mintedBy })])
  enter(stage, b, 'b2', [toll(stage, 'run', 1, { mintedBy })])
  assert.equal(settleDown(stage, boss, b).get('b1'), 'admit')
  settleDown(stage, boss, b)
  assert.equal(b.purse.waiting.has('b2'), true)
  assert.equal(takenAt(boss, 'run').leased, 100)
  pay(a, 'a1', 40)
  assert.equal(settleDown(stage, boss, a, b).get('b2'), 'admit')
})

test('calls of a run that was named here need no word at first, and count all the same when their gateway dies', () => {
  const { stage, boss, a, b } = open({ run: 320 }, 'a', 'b')
  const mintedBy = a.purse.life
  const ofRun = (hold: number, isNew = false) => [toll(stage, 'run', hold, { mintedBy, isNew })]
  assert.equal(enter(stage, a, 'a1', ofRun(6, true)), 'admit')
  assert.equal(enter(stage, a, 'a2', ofRun(4, true)), 'admit')
  assert.equal(isUnpledged(a.purse, ofRun(4)), false)
  assert.equal(enter(stage, a, 'a3', ofRun(1, true)), 'admit')
  assert.equal(isUnpledged(a.purse, ofRun(1)), true, 'one sixteenth of what it has by birth, and no more')
  pay(a, 'a3', 0)
  // It dies before it has told of any of them; a run that nobody knows is presumed to have used that much.
  stage.now += termMs + marginMs + 1
  settleDown(stage, boss, b)
  enter(stage, b, 'b1', ofRun(311))
  assert.equal(settleDown(stage, boss, b).get('b1'), 'exceeded')
  enter(stage, b, 'b2', ofRun(310))
  assert.equal(settleDown(stage, boss, b).get('b2'), 'admit')
  assert.deepEqual(takenAt(boss, 'run'), { spent: 0, presumed: 10, leased: 310, limit: 320 })
  // Its next life tells the truth.
  const reports = [{ ...unspent('run'), report: 1, spent_nano_usd: 7, final: true }]
  stage.ledger.push({ type: 'lease.returned', ...a.purse.life, reports })
  settleDown(stage, boss, b)
  assert.deepEqual(takenAt(boss, 'run'), { spent: 7, presumed: 0, leased: 310, limit: 320 })
})

test('a restart on the same directory within the term settles the former epoch and frees the rest at once', () => {
  const { stage, boss, a, b } = open({ [org]: 100 }, 'a', 'b')
  enter(stage, a, 'a1', take(stage, 30))
  settleDown(stage, boss, a)
  tell(stage, a)
  const mine = stage.ledger.flatMap(message =>
    'gateway' in message && message.gateway === 'a' ? reportsIn(message) : [],
  )
  const reports = lastWords(mine, new Map([[org, 20]]))
  stage.ledger.push({ type: 'lease.returned', ...a.purse.life, reports })
  enter(stage, b, 'b1', take(stage, 80))
  assert.equal(settleDown(stage, boss, b).get('b1'), 'admit')
  assert.deepEqual(takenAt(boss), { spent: 20, presumed: 0, leased: 80, limit: 100 })
  // Without the record of its calls, what was under way counts at its bound.
  assert.equal(lastWords(mine)[0]!.spent_nano_usd, 30)
})

test('with Kafka away longer than the term a gateway serves what it holds, stops at its end, and goes on when it is back', () => {
  const { stage, boss, a } = open({ [org]: 1_000 }, 'a')
  enter(stage, a, 'a0', take(stage, 100))
  settleDown(stage, boss, a)
  pay(a, 'a0', 1)
  stage.now += termMs - 1
  const kept = [...tell(stage, a, true)]
  assert.equal(enter(stage, a, 'a1', take(stage, 50)), 'admit')
  stage.now += 2
  assert.equal(enter(stage, a, 'a2', take(stage, 1)), 'log_unavailable')
  pay(a, 'a1', 44)
  kept.push(...tell(stage, a, true))
  stage.ledger.push(...kept)
  settleDown(stage, boss, a)
  assert.equal(enter(stage, a, 'a3', take(stage, 1)), 'admit')
  assert.equal(takenAt(boss).spent, 45)
})

test('ten thousand runs under one team are folded and granted in seconds, and the team never has more out than its cap', () => {
  const runs = 10_000
  const { stage, boss, a } = open({ 'team:t': runs * 5 }, 'a')
  const started = performance.now()
  let admitted = 0
  for (let i = 0; i < runs; i++) {
    const run = toll(stage, `run:${i}`, 10, { mintedBy: a.purse.life, isNew: true })
    const call = `c${i}`
    const first = enter(stage, a, call, [run, toll(stage, 'team:t', 10)])
    if ((first === 'wait' ? settleDown(stage, boss, a).get(call) : first) === 'admit') admitted += 1
    pay(a, call, 10)
  }
  settleDown(stage, boss, a)
  assert.equal(admitted, runs / 2)
  const { spent, leased } = takenAt(boss, 'team:t')
  assert.equal(spent, admitted * 10)
  assert.ok(spent + leased <= limitOf(stage, 'team:t'))
  assert.ok(performance.now() - started < 10_000)
})
