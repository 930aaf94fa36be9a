import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cluster } from 'kafkajs'
import { read } from '../../services/io/log/kafka/reader.ts'
import type { Session } from '../../services/io/log/kafka/session.ts'
import { listening } from '../support/kafka.ts'

/** A connection on which fetches are never answered, as no broker can be made to do it. */
function deaf() {
  let resets = 0
  const broker = { fetch: () => new Promise(() => {}) }
  const cluster = { findLeaderForPartitions: () => ({ 1: [0] }), findBroker: async () => broker }
  const session = {
    cluster: async () => cluster as unknown as Cluster, // the two methods that reading calls
    worked: () => {},
    failed: async () => {},
    reset: () => {
      resets++
    },
  }
  return { session: session as unknown as Session, resets: () => resets } // likewise
}

const cursors = () => [{ topic: 'test.stuck', partition: 0, next: 5 }]

test('records that do not come although Kafka has them: two new connections, then the reading ends', async () => {
  const lines: string[] = []
  const { session, resets } = deaf()
  const reading = read({
    session,
    log: listening(lines),
    cursors: cursors(),
    deliver: () => {},
    ends: async () => [9],
    signal: AbortSignal.timeout(10_000),
    stuckMs: 40,
  })
  await assert.rejects(reading, { code: 'log_stuck' })
  assert.equal(resets(), 2)
  assert.equal(lines.filter(line => line.includes('do not reach this reader')).length, 3)
})

test('a reader with nothing to read, or with Kafka away, waits in peace', async () => {
  for (const ends of [async () => [5], () => Promise.reject(new Error('away'))]) {
    const { session, resets } = deaf()
    const lines: string[] = []
    const signal = AbortSignal.timeout(400)
    await read({ session, log: listening(lines), cursors: cursors(), deliver: () => {}, ends, signal, stuckMs: 40 })
    assert.equal(resets(), 0)
    assert.deepEqual(lines, [])
  }
})
