import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { apply, foldLedger } from '../../services/core/money/booking.ts'
import { type Books, openBooks } from '../../services/core/money/books.ts'
import { type KeptHead, type KeptNode, keepNode } from '../../services/core/money/books-kept.ts'
import { unspent } from '../../services/core/money/reports.ts'
import { type Looked, openShelf, readShelf } from '../../services/enforcer/shelf.ts'
import { booksLimits, shelveBooks } from '../../services/enforcer/shelved-books.ts'
import { booksFrom, keepBooks } from '../core/kept-books.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const dirOf = (t: TestContext): string => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-books-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}

const nodes = ['run:a/life', 'run:b/life', 'agent:x/1d@2020-01-01', 'team:t/life', 'org/life'] as const
const life = fc.record({
  gateway: fc.constantFrom<string>('gateway-0', 'gateway-1'),
  epoch: fc.constantFrom<number>(1, 2),
})
const at = fc.record({ node: fc.constantFrom<string>(...nodes), by: life, amount: fc.nat(500) })
const word = fc.oneof(
  at.map(said => ({ does: 'reports' as const, ...said })),
  at.map(said => ({ does: 'is granted' as const, ...said })),
  at.map(said => ({ does: 'is corrected' as const, ...said })),
  life.map(by => ({ does: 'expires' as const, by })),
)
type Word = typeof word extends fc.Arbitrary<infer Of> ? Of : never

/** The same word to any books: totals rise by what came before it. */
function tell(books: Books, said: Word, n: number): void {
  const decided = { partition: 0, owner: 'o', owner_epoch: 1, ledger_offsets: {} }
  if (said.does === 'expires') {
    apply(books, { ...decided, type: 'gateway.expired', ...said.by, keeps_lease: n % 2 === 0 })
    return
  }
  const { node, by, amount } = said
  const total = n * 1_000 + amount
  if (said.does === 'is granted') {
    apply(books, { ...decided, type: 'lease.granted', node, ...by, granted_nano_usd: total, ask: n })
    return
  }
  const report: LedgerMessage =
    said.does === 'is corrected'
      ? { type: 'spend.corrected', node, source: by.gateway, correction: n, total_nano_usd: amount - 250 }
      : {
          type: 'lease.settled',
          ...by,
          reports: [{ ...unspent(node), report: n, spent_nano_usd: total, beyond_nano_usd: n, held_nano_usd: amount }],
        }
  foldLedger(books, report, { partition: 0, offset: n })
}

/** All that a shelf has, as books that know everything. */
const allIn = (shelf: Looked): readonly KeptNode[] => {
  const nodes = Array.from(shelf.all(), ([, kept]) => kept as KeptNode)
  return keepBooks(booksFrom({ ...(shelf.head() as KeptHead), nodes })).nodes // as shelved books keep it
}

const sorted = (kept: readonly KeptNode[]) => kept.toSorted((a, b) => (a.node < b.node ? -1 : 1))

test(`books that let go of what idles, or begin anew, are the books that hold everything (seed ${seed})`, async t => {
  const dir = dirOf(t)
  let n = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(word, { minLength: 1, maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(40), fc.constantFrom('rests', 'dies')), { maxLength: 4 }),
      async (said, cuts) => {
        const name = `books-${n++}`
        const whole = openBooks(0)
        let shelf = openShelf(dir, name, booksLimits)
        let shelved = shelveBooks(0, shelf)
        for (const [i, one] of said.entries()) {
          for (const [, how] of cuts.filter(([cut]) => cut === i)) {
            shelved.books.dirty.clear()
            for (let keeps = 0; keeps < 9; keeps++) await shelved.keep()
            const held = [...shelved.books.nodes.keys()]
            assert.ok(!held.some(node => node.startsWith('run:')), `${held} are in memory`)
            if (how === 'rests') continue
            shelf.close()
            shelf = openShelf(dir, name, booksLimits)
            shelved = shelveBooks(0, shelf)
          }
          for (const books of [whole, shelved.books]) tell(books, one, i + 1)
        }
        await shelved.keep()
        const all = sorted(keepBooks(whole).nodes)
        const { books } = shelved
        // What nobody holds in memory is told by the shelf.
        assert.deepEqual(
          sorted(Array.from(books.nodes.values(), keepNode)),
          all.filter(({ node }) => books.nodes.has(node)),
        )
        assert.deepEqual(sorted(readShelf(dir, name, allIn) ?? []), all)
        shelf.close()
      },
    ),
    { seed, numRuns: 60 },
  )
})

test('what a cap of the policy has cost stays, however long nobody speaks of it', async t => {
  const shelf = openShelf(dirOf(t), 'books', { rows: 1, idleMs: 1e12 })
  t.after(() => shelf.close())
  const { books, keep } = shelveBooks(0, shelf)
  const by = { gateway: 'gateway-0', epoch: 1 }
  for (const [i, node] of nodes.entries()) tell(books, { does: 'reports', node, by, amount: 7 }, i + 1)
  books.dirty.clear()
  for (let keeps = 0; keeps < 9; keeps++) {
    await keep()
    // Each time two caps of runs make it full, and what was not kept since the last time goes.
    for (const run of ['c', 'd'])
      tell(books, { does: 'reports', node: `run:${run}${keeps}/life`, by, amount: 1 }, 50 + keeps)
    books.dirty.clear()
  }
  const again = shelveBooks(0, shelf).books
  assert.equal(again.nodes.get('org/life')?.spent, 5_007)
  assert.equal(again.nodes.get('team:t/life')?.spent, 4_007)
  assert.equal(shelf.take('run:a/life'), null)
})
