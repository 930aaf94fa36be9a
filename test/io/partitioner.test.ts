import assert from 'node:assert/strict'
import { test } from 'node:test'
import kafkajs from 'kafkajs'
import { murmur2, partitionOf } from '../../services/io/log/partitioner.ts'

test('keys hash as they do in Kafka itself', () => {
  const known: readonly (readonly [string, number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  for (const [key, hash] of known) assert.equal(murmur2(Buffer.from(key)), hash, key)
})

test('a key goes to the partition where kafkajs would put it', () => {
  const theirs = kafkajs.Partitioners.DefaultPartitioner()
  const metadata = (count: number) =>
    Array.from({ length: count }, (_, partitionId) => ({
      partitionId,
      leader: 1,
      replicas: [1],
      isr: [1],
      partitionErrorCode: 0,
    }))
  for (const count of [1, 3, 12, 50]) {
    const partitionMetadata = metadata(count)
    for (let i = 0; i < 500; i++) {
      const key = i % 2 === 0 ? `run_${i.toString(36)}` : 'ü'.repeat(i % 9) + i
      const expected = theirs({ topic: 't', partitionMetadata, message: { key, value: null } })
      assert.equal(partitionOf(key, count), expected, `${key} of ${count}`)
    }
  }
})
