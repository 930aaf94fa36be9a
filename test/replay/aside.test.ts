import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { MoneyDecision } from '../../schemas/control.ts'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { encodeDecision, encodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { foldControl, foldLedger } from '../../services/core/money/booking.ts'
import { type Books, type NodeBook, openBooks } from '../../services/core/money/books.ts'
import { keepHead, keepNode } from '../../services/core/money/books-kept.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { openCaps } from '../../services/replay/verify/caps.ts'
import { openDrawer, openMany } from '../../services/replay/verify/drawer.ts'
import { verify } from '../../services/replay/verify/verify.ts'
import { chanceOf } from '../support/chance.ts'

const decided = { partition: 0, owner: 'enforcer-a.1.1', owner_epoch: 1 }
const owned: MoneyDecision = { ...decided, type: 'ledger.owned', ledger_offsets: {} }
const lives = [1, 2, 3].map(epoch => ({ gateway: 'gateway-a', epoch }))
const firstLife = { gateway: 'gateway-a', epoch: 1 }

const reported = (life: (typeof lives)[number], node: string, report: number, spent: number): LedgerMessage => ({
  type: 'lease.settled',
  ...life,
  reports: [
    {
      node,
      report,
      spent_nano_usd: spent,
      beyond_nano_usd: 0,
      returned_nano_usd: 0,
      held_nano_usd: 7,
      cap: { version: 0, limit_nano_usd: 1_000_000, opens_at: 0, closes_at: null },
      minted_by: firstLife,
      birthright_nano_usd: 500_000,
    },
  ],
})

const sumsOf = ({ node, spent, presumed, leased, beyond }: NodeBook) => ({ node, spent, presumed, leased, beyond })
const byNode = (books: Iterable<NodeBook>) =>
  Array.from(books, sumsOf).toSorted((a, b) => (a.node < b.node ? -1 : Number(a.node > b.node)))

test('caps that lie aside come to the same as those in memory, whatever became of their lives meanwhile', t => {
  const drawer = openDrawer()
  t.after(() => drawer.close())
  for (let seed = 1; seed <= 20; seed++) {
    const { between } = chanceOf(seed)
    const pick = (n: number): number => between(0, n)
    const plain = openBooks(0)
    const caps = openCaps(openBooks(0), drawer.aside(), 4)
    let most = 0
    const spent = new Map<string, number>()
    const all = (fold: (books: Books) => void): void => {
      fold(plain)
      fold(caps.books)
      caps.tidy()
      most = Math.max(most, caps.books.nodes.size)
    }
    all(books => foldControl(books, owned, 0))
    for (let i = 1; i <= 400; i++) {
      const life = lives[pick(lives.length)] ?? firstLife
      // Runs come one after the other, and some are heard of once more.
      const node = `run:${pick(10) === 0 ? pick(40) : Math.floor(i / 10)}/life`
      if (pick(60) === 0) {
        const keeps_lease = pick(2) === 0
        all(books =>
          foldControl(books, { ...decided, ...life, type: 'gateway.expired', ledger_offsets: {}, keeps_lease }, i),
        )
        continue
      }
      const key = `${node} ${life.epoch}`
      spent.set(key, (spent.get(key) ?? 0) + pick(1_000))
      all(books => foldLedger(books, reported(life, node, i, spent.get(key) ?? 0), { partition: 0, offset: i }))
    }
    assert.deepEqual(byNode(caps.all()), byNode(plain.nodes.values()), `seed ${seed}`)
    for (const [node, book] of plain.nodes) assert.deepEqual(sumsOf(caps.look(node) ?? book), sumsOf(book))
    assert.ok(most < plain.nodes.size / 2, `${most} of ${plain.nodes.size} caps were in memory`)
  }
})

test('what is changed in place is found as it was left, however much else was asked for since', t => {
  const drawer = openDrawer()
  t.after(() => drawer.close())
  const many = openMany<{ n: number }>(drawer.aside(), 3)
  const { between } = chanceOf(7)
  const plain = new Map<string, number>()
  for (let i = 0; i < 2_000; i++) {
    const name = `name ${between(0, 30)}`
    many.of(name, () => ({ n: 0 })).n += i
    plain.set(name, (plain.get(name) ?? 0) + i)
  }
  for (const [name, n] of plain) assert.deepEqual(many.look(name), { n })
  assert.equal(many.look('another'), null)
  const found = Array.from(many.all(), ([name, { n }]) => [name, n] as const)
  assert.equal(found.length, plain.size)
  assert.deepEqual(new Map(found), plain)
})

test('what an enforcer keeps is held against the log as far as it had read, and one nano-dollar is found', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-kept-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const log = openFileLog({ dir })
  t.after(() => log.close())
  await log.ensure(Object.values(topics))
  const node = 'run:r1/life'
  const messages = [100, 200, 300].map((spent, i) => reported(firstLife, node, i + 1, spent))
  const heard = (known: number): MoneyDecision => ({
    ...decided,
    ...firstLife,
    type: 'gateway.heard',
    beat: known,
    ledger_offsets: { 0: known },
  })
  const decisions = [owned, heard(1), heard(3)]
  const write = async (topic: string, encoded: readonly ReturnType<typeof encodeDecision>[]) => {
    const writer = await log.writer(topic)
    for (const message of encoded) writer.append(message)
    await writer.flush()
    await writer.close()
  }
  const envelope = (by: string, i: number) => ({ id: `${by}.1.${i}`, source: `/sluice/${by}`, time: 3 })
  await write(
    topics.ledger.name,
    messages.map((message, i) => encodeLedger(envelope('ledger-a', i), message, node)),
  )
  await write(
    topics.control.name,
    decisions.map((decision, i) => encodeDecision(envelope('enforcer-a', i), decision)),
  )
  // It had read two of the three messages, and two of the three decisions.
  const books = openBooks(0)
  for (const [offset, message] of messages.slice(0, 2).entries()) foldLedger(books, message, { partition: 0, offset })
  for (const [offset, decision] of decisions.slice(0, 2).entries()) foldControl(books, decision, offset)

  const drawer = openDrawer()
  t.after(() => drawer.close())
  const foundWith = async (more: number) => {
    const nodes = drawer.aside<ReturnType<typeof keepNode>>()
    for (const [name, book] of books.nodes) {
      const { leases, ...kept } = keepNode(book)
      nodes.put(name, { ...kept, leases: leases.map(lease => ({ ...lease, spent: lease.spent + more })) })
    }
    const checks = await verify({
      log,
      warehouse: null,
      sinkGroup: 'sink',
      owners: 1,
      live: false,
      dense: true,
      policies: new Map(),
      kept: new Map([[0, { head: keepHead(books), nodes }]]),
      damage: () => [],
    })
    const check = checks.find(({ name }) => name === 'log ↔ what the enforcer keeps')
    return [check?.compared, check?.first.map(({ where, what }) => `${where}: ${what}`)]
  }
  assert.deepEqual(await foundWith(0), [1, []])
  assert.deepEqual(await foundWith(1), [
    1,
    [`${node}: spent is 201 there, the log says 200`, `${node}: leased is 499799 there, the log says 499800`],
  ])
})
