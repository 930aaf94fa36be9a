import assert from 'node:assert/strict'
import { test } from 'node:test'
import { history, type Outcome } from './simulation/history.ts'

/**
 * Hundreds of random histories against the real core. `SLUICE_TEST_HISTORY_SEED` runs the histories from another seed on;
 * what fails names its seed, and `history(seed)` is that history again.
 */
const firstSeed = Number(process.env['SLUICE_TEST_HISTORY_SEED'] ?? 1)
const histories = 300

test('no history of gateways, enforcers and logs passes a cap or refuses what would have fitted', () => {
  const seen: Record<string, number> = {}
  for (let seed = firstSeed; seed < firstSeed + histories; seed++) {
    const { wrongs, seen: here } = history(seed)
    assert.deepEqual(wrongs, [], `seed ${seed}`)
    for (const [what, times] of Object.entries(here)) seen[what] = (seen[what] ?? 0) + times
  }
  // A simulation in which nothing happens proves nothing.
  for (const what of [
    'admit',
    'exceeded',
    'contended',
    'log_unavailable',
    'takeovers',
    'void',
    'gateway.expired',
    'crashes',
    'parked',
    'needed no word',
  ])
    assert.ok((seen[what] ?? 0) > 100, `${what}: ${seen[what]}`)
})

test('a seed reproduces its history', () => {
  const told = ({ seen, mode, keepsLease }: Outcome) => ({ seen, mode, keepsLease })
  assert.deepEqual(told(history(7)), told(history(7)))
  assert.notDeepEqual(told(history(7)), told(history(8)))
})
