import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lane } from '../../services/warehouse/lanes.ts'

const never = new AbortController().signal

test('a lane lets in its width, in order of arrival', async () => {
  const lane = new Lane('test', { width: 2, queue: 10, waitMs: 1000 })
  const order: number[] = []
  const first = await lane.enter(never)
  const second = await lane.enter(never)
  const third = lane.enter(never).then(leave => {
    order.push(3)
    return leave
  })
  const fourth = lane.enter(never).then(leave => {
    order.push(4)
    return leave
  })
  assert.equal(lane.running, 2)
  first()
  first()
  const leaveThird = await third
  assert.deepEqual([order, lane.running], [[3], 2])
  second()
  leaveThird()
  const leaveFourth = await fourth
  leaveFourth()
  assert.equal(lane.running, 0)
})

test('who waits too long, and who finds the queue full, is told so', async () => {
  const lane = new Lane('test', { width: 1, queue: 1, waitMs: 20 })
  const leave = await lane.enter(never)
  const waiting = lane.enter(never)
  await assert.rejects(lane.enter(never), { type: 'TOO_MANY_SIMULTANEOUS_QUERIES' })
  await assert.rejects(waiting, { code: 202 })
  leave()
  assert.equal(lane.running, 0)
  ;(await lane.enter(never))()
})

test('who leaves the queue takes no place', async () => {
  const lane = new Lane('test', { width: 1, queue: 1, waitMs: 1000 })
  const leave = await lane.enter(never)
  const gone = new AbortController()
  const waiting = lane.enter(gone.signal)
  gone.abort(new Error('left'))
  await assert.rejects(waiting, /left/)
  await assert.rejects(lane.enter(gone.signal), /left/)
  leave()
  assert.equal(lane.running, 0)
})
