import assert from 'node:assert/strict'
import { test } from 'node:test'
import { spread } from '../../services/io/log/kafka/assign.ts'

const partitions = (topic: string, count: number) =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }))

test('every partition goes to exactly one member, and no member has more than one above another', () => {
  for (const members of [1, 2, 3, 5, 13]) {
    const names = Array.from({ length: members }, (_, i) => `member-${i}`)
    const all = [...partitions('events', 12), ...partitions('ledger', 6)]
    const dealt = [...spread(names, all).values()]
    assert.equal(dealt.flat().length, all.length)
    assert.equal(new Set(dealt.flat().map(at => `${at.topic}/${at.partition}`)).size, all.length)
    const sizes = dealt.map(({ length }) => length)
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1)
  }
})

test('who asks, and in what order, makes no difference', () => {
  const all = partitions('events', 5)
  const there = spread(['b', 'a'], all)
  const back = spread(['a', 'b'], [...all].reverse())
  assert.deepEqual([...there].sort(), [...back].sort())
})
