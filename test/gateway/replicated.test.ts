import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openReplicated } from '../../services/gateway/money/replicated.ts'

const shipped = { events: async () => true, ledger: async () => true }
const till = { saidTo: () => 7, mayStillSpend: () => true }

test('a call goes once the brokers have both its admission and its hold', async () => {
  const asked: (readonly [string, number])[] = []
  const replicated = openReplicated(
    {
      events: async offset => asked.push(['events', offset]) > 0,
      ledger: async offset => asked.push(['ledger', offset]) > 0,
    },
    till,
  )
  assert.equal(await replicated('req-1', 41, true), true)
  assert.deepEqual(asked, [
    ['events', 42],
    ['ledger', 7],
  ])
  assert.equal(await openReplicated({ ...shipped, events: async () => false }, till)('req-1', 41, true), false)
  assert.equal(await openReplicated({ ...shipped, ledger: async () => false }, till)('req-1', 41, true), false)
})

test('a call whose lease ran out while the brokers were waited for is not made', async () => {
  const late = { ...till, mayStillSpend: () => false }
  assert.equal(await openReplicated(shipped, late)('req-1', 41, true), false)
})

test('a call under no cap waits for no ledger', async () => {
  const silent = { ...shipped, ledger: () => new Promise<boolean>(() => {}) }
  assert.equal(await openReplicated(silent, { ...till, mayStillSpend: () => false })('req-1', 41, false), true)
})
