import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { broker } from '../support/broker.ts'
import { freshTopic, logOn, until } from '../support/kafka.ts'

test('a member lets go of all its partitions at once: one that is slow holds up the group, not each of them in turn', async t => {
  const kafka = await broker(t)
  if (kafka === null) return
  const log = logOn(kafka)
  const topic = await freshTopic(log, { partitions: 8 })
  let mine = 0
  const slowMs = 700
  const consumer = log.consume(`group-${topic}`, [topic], {
    assigned: () => ++mine && 0,
    onBatch: async () => {},
    revoked: () => sleep(slowMs),
  })
  await until('all partitions', () => mine === 8)
  const since = performance.now()
  await consumer.close()
  const tookMs = performance.now() - since
  assert.ok(tookMs < slowMs * 4, `it took ${tookMs} ms`)
})
