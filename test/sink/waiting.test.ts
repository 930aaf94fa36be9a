import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeBell } from '../../services/sink/bell.ts'
import { makePatience } from '../../services/sink/patience.ts'
import { makeSlots } from '../../services/sink/slots.ts'

test('no more are at it at once than there are slots, in the order they came, whoever fails', async () => {
  const slots = makeSlots(2)
  const order: number[] = []
  let now = 0
  let most = 0
  const work = (n: number) =>
    slots.within(async () => {
      order.push(n)
      most = Math.max(most, ++now)
      await new Promise(setImmediate)
      now--
      if (n === 3) throw new Error('one fails')
    })
  const all = await Promise.allSettled(Array.from({ length: 9 }, (_, n) => work(n)))
  assert.equal(most, 2)
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8])
  assert.equal(all.filter(one => one.status === 'rejected').length, 1)
})

test('a ring before anybody listens is heard, once', async () => {
  const bell = makeBell()
  bell.ring()
  await bell.heard()
  const start = performance.now()
  await bell.heard(30)
  assert.ok(performance.now() - start >= 25)
  const heard = bell.heard()
  bell.ring()
  await heard
})

test('patience ends when it is told to, with what the last try said, and not before', async () => {
  const said: string[] = []
  const tell = (_: unknown, text?: string) => void said.push(text ?? '')
  const away: boolean[] = []
  const persist = makePatience({ info: tell, warn: tell } as never, now => away.push(now)) // only these two are used
  let tries = 0
  const never = new AbortController().signal
  const act = async () => {
    if (++tries < 3) throw new Error('not yet')
    return tries
  }
  assert.equal(await persist(act, never), 3)
  assert.deepEqual(away, [true, false])
  assert.equal(said.length, 2)
  const stop = new AbortController()
  const failing = persist(async () => {
    setImmediate(() => stop.abort())
    throw new Error('gone for good')
  }, stop.signal)
  await assert.rejects(failing, /gone for good/)
})
