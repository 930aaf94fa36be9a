import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { findTie, type Knots, type Mark, markOf, type Tie, tieKnot } from '../../services/core/conversation/thread.ts'
import { isUnlikely } from '../../services/core/conversation/unlikely.ts'
import {
  answerIn,
  digest,
  type Habits,
  historyIn,
  knotsInMemory,
  type Message,
  type Shape,
  shapes,
} from './dialogue.ts'

/** Runs that a random agent makes: their requests are tied, one after the other, as the gateway does it. */

const habits: fc.Arbitrary<Habits> = fc.record({
  dropsThought: fc.boolean(),
  marksCache: fc.boolean(),
  turnsKeys: fc.boolean(),
  joins: fc.boolean(),
  resultsBackwards: fc.boolean(),
})
const first = fc.constantFrom('Find the invoices of last week.', 'Hello', 'Fix the build.')
const words = fc.constantFrom('', 'I look it up.', 'Done.', 'One moment.')
/** What an agent does next: go on with tools or a word of its user, try again, or go back and say something else. */
const move = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('tools' as const), calls: fc.integer({ min: 1, max: 3 }), words }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('word' as const), words }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retry' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('edit' as const), back: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const) }) },
)
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never
/** Long ones of a provider's, short ones, a counter that begins anew with each step, none. */
const ids = fc.constantFrom('long', 'short', 'counted', 'none')
const plan = fc.record({ first, habits, ids, moves: fc.array(move, { minLength: 1, maxLength: 8 }) })
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never

const idOf = (ids: Plan['ids'], about: string, i: number): string => {
  if (ids === 'counted') return `call_${i}`
  const random = hash('sha1', about, 'hex')
  return ids === 'none' ? '' : ids === 'short' ? random.slice(0, 9) : `call_${random.slice(0, 24)}`
}

/** A run's requests in order; what is random in ids and answers is told by `name`, so that no two runs share it. */
function* requestsOf(
  name: string,
  { first, moves, ids }: Plan,
): Generator<{ history: readonly Message[]; answer: Message }> {
  let history: readonly Message[] = [{ by: 'user', words: first }]
  let said = 0
  const answer = (move: Move | null): Message => {
    said++
    const calls = move?.kind === 'tools' ? move.calls : move?.kind === 'cut' ? 2 : 0
    const about = `${name} ${said}`
    return {
      by: 'model',
      words: calls > 0 && move?.kind === 'tools' ? move.words : `Answer of ${about}.`,
      thought: `Thought of ${about}.`,
      calls: Array.from({ length: calls }, (_, i) => ({
        id: idOf(ids, `${about} ${i}`, i),
        name: 'look_up',
        // Where ids do not, what is asked for tells runs apart.
        args: ids === 'long' || ids === 'short' ? { n: i } : { n: i, about },
      })),
    }
  }
  let last = answer(moves[0] ?? null)
  yield { history, answer: last }
  for (const [i, move] of moves.entries()) {
    const next = moves[i + 1] ?? null
    const edited = move.kind === 'edit' ? placesOf(history).at(-1 - move.back) : undefined
    if (move.kind === 'retry' && history.some(({ by }) => by === 'model')) {
      // As it was.
    } else if (edited !== undefined) history = [...history.slice(0, edited), { by: 'user', words: `No: ${name} ${i}.` }]
    else {
      history = [...history, last, following(last, `${name} ${i}`)]
      // Old turns go, the latest calls and their results stay.
      if (move.kind === 'cut' && ids === 'long' && last.by === 'model' && last.calls.length > 0)
        history = history.slice(-2)
    }
    last = answer(next)
    yield { history, answer: last }
  }
}

/** Where a user spoke, after something was answered. */
const placesOf = (history: readonly Message[]): readonly number[] =>
  history.flatMap(({ by }, i) => (by === 'user' && i > 0 ? [i] : []))

const following = (last: Message, about: string): Message =>
  last.by === 'model' && last.calls.length > 0
    ? { by: 'tools', results: last.calls.map(({ id }) => ({ id, words: `Found by ${about}.` })) }
    : { by: 'user', words: `Go on, ${about}.` }

/** Files one request as the gateway does, and says under which run. */
function file(
  knots: Knots,
  scope: string,
  shape: Shape,
  habits: Habits,
  one: { history: readonly Message[]; answer: Message },
  fresh: () => string,
  order: number,
) {
  const history = historyIn(shape, one.history, habits)
  const tie = findTie(knots, scope, history, digest)
  const runId = tie?.knot.runId ?? fresh()
  const mark = markOf(history, answerIn(shape, one.answer), tie?.knot ?? null, digest)
  if (tie !== null) tie.knot.continued++
  tieKnot(knots, scope, mark, { runId, order })
  return { runId, mark, tie }
}

/** Plays all runs, one request of each in turn as `turns` says, and gives the run ids under which each was filed. */
function play(plans: readonly Plan[], shape: Shape, turns: readonly number[], scopeOf = (_run: number) => 'a') {
  const knots = knotsInMemory()
  const live = plans.map((plan, run) => ({ run, plan, requests: requestsOf(`run ${run}`, plan) }))
  const filed = plans.map(() => new Set<string>())
  let [opened, order] = [0, 0]
  for (let at = 0; live.length > 0; at++) {
    const index = (turns[at % turns.length] ?? 0) % live.length
    const one = live[index]
    if (one === undefined) break
    const request = one.requests.next()
    if (request.done) {
      live.splice(index, 1)
      continue
    }
    const { runId } = file(
      knots,
      scopeOf(one.run),
      shape,
      one.plan.habits,
      request.value,
      () => `#${++opened}`,
      ++order,
    )
    filed[one.run]?.add(runId)
  }
  return filed
}

const turns = fc.array(fc.nat(100), { minLength: 1, maxLength: 30 })
const shape = fc.constantFrom(...shapes)

test('whatever agents do to their conversations, each run comes back as the one that it was', () => {
  fc.assert(
    fc.property(fc.array(plan, { minLength: 1, maxLength: 6 }), shape, turns, (plans, shape, turns) => {
      const filed = play(plans, shape, turns)
      for (const ids of filed) assert.equal(ids.size, 1, 'a run is split')
      assert.equal(new Set(filed.flatMap(ids => [...ids])).size, plans.length, 'two runs are one')
    }),
    { numRuns: 300 },
  )
})

test('two runs that begin with the same words stay two', () => {
  fc.assert(
    fc.property(plan, fc.array(move, { minLength: 1, maxLength: 6 }), shape, turns, (one, moves, shape, turns) => {
      const filed = play([one, { ...one, moves }, one], shape, turns)
      assert.equal(new Set(filed.flatMap(ids => [...ids])).size, 3)
    }),
  )
})

test('nothing is tied across agents or keys, be it the same to the letter', () => {
  fc.assert(
    fc.property(plan, shape, (one, shape) => {
      const knots = knotsInMemory()
      const ids = ['a', 'b'].map(scope => {
        let order = 0
        const requests = [...requestsOf('the same', one)]
        return requests.map(request => file(knots, scope, shape, one.habits, request, () => scope, ++order).runId)
      })
      assert.deepEqual(new Set(ids[0]), new Set(['a']))
      assert.deepEqual(new Set(ids[1]), new Set(['b']))
    }),
  )
})

test('what was written down as JSON and read again ties as what was never away', () => {
  const seen = (tie: Tie | null) => tie && { run: tie.knot.runId, by: tie.by, at: tie.at, length: tie.knot.length }
  fc.assert(
    fc.property(fc.array(plan, { minLength: 1, maxLength: 3 }), shape, fc.nat(20), (plans, shape, restartAt) => {
      const live = knotsInMemory()
      let restored = knotsInMemory()
      const log: { mark: string; runId: string }[] = []
      let order = 0
      for (const [run, plan] of plans.entries())
        for (const request of requestsOf(`run ${run}`, plan)) {
          if (order === restartAt) {
            restored = knotsInMemory()
            for (const [i, { mark, runId }] of log.entries())
              tieKnot(restored, 'a', JSON.parse(mark) as Mark, { runId, order: i + 1 }) // as it was written
          }
          const history = historyIn(shape, request.history, plan.habits)
          if (order >= restartAt)
            assert.equal(
              seen(findTie(restored, 'a', history, digest))?.run,
              seen(findTie(live, 'a', history, digest))?.run,
            )
          const { runId, mark } = file(live, 'a', shape, plan.habits, request, () => `#${run}`, ++order)
          log.push({ mark: JSON.stringify(mark), runId })
          if (order > restartAt) tieKnot(restored, 'a', JSON.parse(JSON.stringify(mark)) as Mark, { runId, order })
        }
    }),
  )
})

test('an id is one of a kind where it has a dozen characters that are no word and no number', () => {
  for (const id of [
    'call_d90329f2509ec02f',
    'tooluse_WiyJNSdhWhSIShlzoGDhxK', // no digit in it
    'tooluse_dV5ehBNfl1hUE-UTM9cIww',
    'toolu_01A09q90qw90lq917835lq9',
    '550e8400-e29b-41d4-a716-446655440000',
    'get_weather_r4t8w2q9d1k3',
  ])
    assert.ok(isUnlikely(id), id)
  for (const id of [
    'call_0',
    'call_1732199872123',
    'functions.get_weather:0',
    'call_getWeatherForCity_1',
    'srvtoolu_search_call_1',
    '6ve1xq71k',
    'GET_CURRENT_WEATHER_12',
    '0000000000000000',
  ])
    assert.ok(!isUnlikely(id), id)
  const long = 'aB'.repeat(200_000)
  const since = performance.now()
  isUnlikely(long)
  assert.ok(performance.now() - since < 1_000, 'a long id takes no long time')
})

test('of two runs with the same words and short ids, one is not taken for the other that is not known yet', () => {
  for (const [mine, other] of [
    ['6ve1xq71k', 'ae1hh7t1r'],
    ['tooluse_uKfCpYZhOVbXTYOd8Yp28X', 'tooluse_WiyJNSdhWhSIShlzoGDhxK'],
  ] as const) {
    const knots = knotsInMemory()
    const asked = (id: string): Message => ({
      by: 'model',
      words: '',
      thought: '',
      calls: [{ id, name: 'f', args: {} }],
    })
    const asks = user('Use f.')
    file(knots, 'a', 'chat', plain, { history: [asks], answer: asked(other) }, () => 'other', 1)
    const later = [asks, asked(mine), { by: 'tools', results: [{ id: mine, words: 'x' }] }] satisfies Message[]
    assert.equal(findTie(knots, 'a', historyIn('chat', later, plain), digest), null)
  }
})

const plain: Habits = {
  dropsThought: false,
  marksCache: false,
  turnsKeys: false,
  joins: false,
  resultsBackwards: false,
}
const user = (words: string): Message => ({ by: 'user', words })
const model = (words: string): Message => ({ by: 'model', words, thought: '', calls: [] })
const tieOf = (knots: Knots, history: readonly Message[]) =>
  findTie(knots, 'a', historyIn('chat', history, plain), digest)

test('a request that was never answered and comes again is the same run; one that was answered is another', () => {
  const knots = knotsInMemory()
  const history = historyIn('chat', [user('Hello')], plain)
  tieKnot(knots, 'a', markOf(history, [], null, digest), { runId: 'one', order: 1 })
  assert.equal(tieOf(knots, [user('Hello')])?.by, 'prefix')
  file(knots, 'b', 'chat', plain, { history: [user('Hello')], answer: model('Hi.') }, () => 'two', 2)
  assert.equal(findTie(knots, 'b', history, digest), null)
})

test('where old turns were rewritten, the last answer ties; where an answer was left out, the beginning does', () => {
  const knots = knotsInMemory()
  const begun = [user('Hello'), model('Hi.'), user('A picture: #####'), model('A cat.'), user('And this?')]
  file(knots, 'a', 'chat', plain, { history: begun, answer: model('A dog.') }, () => 'one', 1)
  const rewritten = begun.map((message, i) => (i === 2 ? user('A picture, no longer shown') : message))
  assert.equal(tieOf(knots, [...rewritten, model('A dog.'), user('Thanks')])?.by, 'answer')
  assert.equal(tieOf(knots, [...begun, user('Are you there?')])?.by, 'prefix')
  assert.equal(tieOf(knots, [...begun, model('A horse.'), user('Thanks')]), null, 'somebody else was told that')
})

test('a request that goes on hashes what is new in it, however much was said before', () => {
  const knots = knotsInMemory()
  const asked = (n: number): Message => ({
    by: 'model',
    words: '',
    thought: '',
    calls: [{ id: `call_${hash('sha256', `${n}`).slice(0, 24)}`, name: 'f', args: { n } }],
  })
  const history: Message[] = [user('A long story. '.repeat(10_000))]
  let hashed = 0
  const counting = (text: string): string => {
    hashed += text.length
    return digest(text)
  }
  const each: number[] = []
  for (let n = 1; n <= 100; n++) {
    hashed = 0
    const read = historyIn('chat', history, plain)
    const tie = findTie(knots, 'a', read, counting)
    const answer = historyIn('chat', [asked(n)], plain).turn(0)
    tieKnot(knots, 'a', markOf(read, [answer], tie?.knot ?? null, counting), { runId: 'one', order: n })
    each.push(hashed)
    const call = `call_${hash('sha256', `${n}`).slice(0, 24)}`
    history.push(asked(n), { by: 'tools', results: [{ id: call, words: 'Done.' }] })
  }
  const [first = 0, ...later] = each
  assert.ok(first > 140_000, 'the first request brings all of it')
  assert.ok(Math.max(...later) < 1_000, `${Math.max(...later)} characters for a step of some 200`)
  assert.ok(Math.max(...later) - Math.min(...later) < 50, 'the last step as many as the second')
})

test('a summary in place of the beginning is the first turn of what follows it', () => {
  const long = historyIn('chat', [user('Begin at once.'), model('Yes.'), user('Go on.')], plain)
  const mark = markOf(long, [], null, digest)
  const short = historyIn('chat', [user('Summary: it began.'), model('Yes.'), user('Go on.'), user('And?')], plain)
  assert.equal(markOf(short, [], mark, digest).first, short.hashAt(0, digest))
  assert.notEqual(markOf(short, [], mark, digest).first, mark.first)
  assert.equal(markOf(long, [], { ...mark, glance: undefined }, digest).first, mark.first)
})
