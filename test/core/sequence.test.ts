import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Heard, hear, introduce, lifeOf, strangers, type Telling } from '../../services/core/sequence.ts'

const tell = (sequence: number, producer = 'gateway-a', epoch = 1, previous: number | null = null): Telling => ({
  origin: { producer, epoch, sequence },
  previous,
})
const numbers = (tellings: readonly Telling[], fresh: readonly boolean[]) =>
  tellings.flatMap((telling, i) => (fresh[i] ? [telling.origin?.sequence] : []))
/** What the sink does: looks strangers up in what is stored, then hears. */
const step = (heard: Heard, stored: readonly Telling[], batch: readonly Telling[], remember?: number) => {
  const past = new Map<string, number>()
  for (const { origin } of stored)
    if (origin) past.set(lifeOf(origin), Math.max(origin.sequence, past.get(lifeOf(origin)) ?? -1))
  return hear(introduce(heard, strangers(heard, batch), past, true), batch, remember)
}

/** A producer's events as a log gets them: in order, and after each crash some of the last ones once more. */
const resent = fc
  .record({
    length: fc.integer({ min: 1, max: 40 }),
    crashes: fc.array(fc.tuple(fc.nat(40), fc.nat(10)), { maxLength: 5 }),
  })
  .map(({ length, crashes }) => {
    const order: number[] = []
    for (let i = 0; i < length; i++) {
      order.push(i)
      for (const [at, back] of crashes) if (at === i) for (let j = Math.max(0, i - back); j <= i; j++) order.push(j)
    }
    return { length, order }
  })

/** Several producers' events in one partition, each in its own order. */
const interleaved = fc
  .array(resent, { minLength: 1, maxLength: 4 })
  .chain(all => {
    const slots = all.flatMap(({ order }, producer) => order.map(() => producer))
    return fc.tuple(fc.constant(all), fc.shuffledSubarray(slots, { minLength: slots.length, maxLength: slots.length }))
  })
  .map(([all, slots]) => {
    const at = all.map(() => 0)
    return {
      lengths: all.map(one => one.length),
      tellings: slots.map(producer => tell(all[producer]!.order[at[producer]!++]!, `gateway-${producer}`)),
    }
  })

test('what a producer sends again after a crash counts once, whoever else speaks in between', () => {
  fc.assert(
    fc.property(interleaved, ({ lengths, tellings }) => {
      const { fresh, gaps } = step(new Map(), [], tellings)
      assert.deepEqual(gaps, [])
      lengths.forEach((length, producer) => {
        const own = tellings
          .map((telling, i) => ({ telling, i }))
          .filter(({ telling }) => telling.origin?.producer === `gateway-${producer}`)
        const heard = own.filter(({ i }) => fresh[i]).map(({ telling }) => telling.origin?.sequence)
        assert.deepEqual(
          heard,
          Array.from({ length }, (_, n) => n),
        )
      })
    }),
  )
})

test('cut anywhere, remembered or looked up again, the answer is the same', () => {
  fc.assert(
    fc.property(
      interleaved,
      fc.array(fc.tuple(fc.nat(60), fc.boolean()), { maxLength: 6 }),
      fc.integer({ min: 1, max: 3 }),
      ({ tellings }, cuts, remember) => {
        const whole = step(new Map(), [], tellings)
        const places = [...new Map(cuts)].filter(([place]) => place < tellings.length).toSorted(([a], [b]) => a - b)
        let heard: Heard = new Map()
        let from = 0
        const fresh: boolean[] = []
        const stored: Telling[] = []
        for (const [place, forget] of [...places, [tellings.length, false] as const]) {
          const batch = tellings.slice(from, place)
          const part = step(heard, stored, batch, remember)
          fresh.push(...part.fresh)
          stored.push(...batch.filter((_, i) => part.fresh[i]))
          assert.ok(part.heard.size <= remember)
          heard = forget ? new Map() : part.heard
          from = place
        }
        assert.deepEqual(fresh, whole.fresh)
      },
    ),
  )
})

test('events that never come are told, with their producer and their numbers, and nothing else is', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1 }), sequences => {
      const there = sequences.toSorted((a, b) => a - b)
      const missing = Array.from({ length: there.at(-1)! }, (_, i) => i).filter(i => !there.includes(i))
      const { gaps, fresh } = step(
        new Map(),
        [],
        there.map(sequence => tell(sequence)),
      )
      assert.ok(fresh.every(Boolean))
      assert.deepEqual(
        gaps.flatMap(gap => Array.from({ length: gap.to - gap.from + 1 }, (_, i) => gap.from + i)),
        missing,
      )
      assert.ok(gaps.every(gap => gap.producer === 'gateway-a' && gap.epoch === 1))
    }),
  )
})

test('numbers that went to other partitions are no gap where the event says what came before', () => {
  const told = [tell(3, 'gateway-a', 1, -1), tell(4), tell(9, 'gateway-a', 1, 4), tell(20, 'gateway-a', 1, 9)]
  assert.deepEqual(step(new Map(), [], told).gaps, [])
  const { gaps } = step(new Map(), [], [told[0]!, told[1]!, told[3]!])
  assert.deepEqual(gaps, [{ producer: 'gateway-a', epoch: 1, from: 5, to: 9 }])
})

test('a life whose beginning may have been read and forgotten is believed', () => {
  const late = [tell(700)]
  const heard = introduce(new Map(), strangers(new Map(), late), new Map(), false)
  assert.deepEqual(hear(heard, late).gaps, [])
  assert.deepEqual(step(new Map(), [], late).gaps, [{ producer: 'gateway-a', epoch: 1, from: 0, to: 699 }])
})

test('a new epoch counts from the beginning, and a foreign event is always new', () => {
  const told = [
    tell(0),
    tell(1),
    tell(0, 'gateway-a', 2),
    { origin: null, previous: null },
    { origin: null, previous: null },
    tell(1),
  ]
  const { fresh, gaps } = step(new Map(), [], told)
  assert.deepEqual(fresh, [true, true, true, true, true, false])
  assert.deepEqual(gaps, [])
  assert.deepEqual(numbers(told, fresh), [0, 1, 0, undefined, undefined])
})
