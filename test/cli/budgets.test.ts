import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import type { RunCap } from '../../schemas/ledger.ts'
import { policy } from '../../schemas/policy.ts'
import { bar } from '../../services/cli/bar.ts'
import { lineOf } from '../../services/cli/tail-line.ts'
import { balancesOf } from '../../services/core/money/balances.ts'
import { foldControl, foldLedger } from '../../services/core/money/booking.ts'
import { openBooks } from '../../services/core/money/books.ts'
import { unspent } from '../../services/core/money/reports.ts'

const noon = Date.UTC(2026, 10, 21, 12)
const a = { gateway: 'gateway-a', epoch: 1 }
const b = { gateway: 'gateway-b', epoch: 1 }
const decided = { partition: 0, owner: 'enforcer-a.1.1', owner_epoch: 1, ledger_offsets: {} }

/** What two gateways and an owner have said. */
function told() {
  const books = openBooks(0)
  let [said, ruled] = [0, 0]
  const tell = (message: Parameters<typeof foldLedger>[1]) =>
    foldLedger(books, message, { partition: 0, offset: said++ })
  const rule = (record: Parameters<typeof foldControl>[1]) => foldControl(books, record, ruled++)
  rule({ ...decided, type: 'ledger.owned' })
  return { books, tell, rule }
}
const report = (of: typeof a, node: string, spent: number, held: number, cap?: RunCap) => ({
  ...of,
  type: 'lease.settled' as const,
  reports: [{ ...unspent(node), report: 1, spent_nano_usd: spent, held_nano_usd: held, ...(cap && { cap }) }],
})

const caps = policy.parse(
  parse(`
org: { budgets: [ { limitUsd: 100, window: 1mo } ] }
teams: { science: { budgets: [ { limitUsd: 10, window: 1d } ] } }
agents:
  reader: { team: science, budgets: [ { limitUsd: 1, window: 1d }, { limitUsd: 5 } ] }
  other: { team: science }
`),
)

test('each cap of the policy is told, spent from or not, and each of a run that somebody asked for', () => {
  const { books, tell } = told()
  const today = 'agent:reader/1d@2026-11-21'
  tell(report(a, today, 200_000_000, 50_000_000))
  tell(report(b, today, 100_000_000, 0))
  tell(report(a, 'agent:reader/1d@2026-11-20', 900_000_000, 0))
  const cap = { version: 0, limit_nano_usd: 2_000_000_000, opens_at: 0, closes_at: null }
  tell(report(a, 'run:r1/life', 3, 4, cap))
  const rows = balancesOf([books], caps, noon)
  assert.deepEqual(
    rows.map(row => [row.scope, row.window, row.limit_nano_usd, row.spent_nano_usd, row.held_nano_usd, row.resets_at]),
    [
      ['org', '1mo@2026-11-01', 100e9, 0, 0, Date.UTC(2026, 11, 1)],
      ['team:science', '1d@2026-11-21', 10e9, 0, 0, Date.UTC(2026, 10, 22)],
      ['agent:reader', '1d@2026-11-21', 1e9, 300_000_000, 50_000_000, Date.UTC(2026, 10, 22)],
      ['agent:reader', 'life', 5e9, 0, 0, null],
      ['run:r1', 'life', 2e9, 3, 4, null],
    ],
  )
  assert.equal(rows[2]?.left_nano_usd, 650_000_000)
})

test('what a dead gateway held is presumed to be spent, and what an idle one was lent is still there', () => {
  const { books, tell, rule } = told()
  const node = 'team:science/1d@2026-11-21'
  rule({ ...decided, type: 'lease.granted', ...a, node, granted_nano_usd: 4e9, ask: 1 })
  rule({ ...decided, type: 'lease.granted', ...b, node, granted_nano_usd: 2e9, ask: 1 })
  tell(report(a, node, 1e9, 1e9))
  const row = () => balancesOf([books], caps, noon).find(one => one.node === node)
  const amounts = () => {
    const { spent_nano_usd, held_nano_usd, leased_nano_usd, presumed_nano_usd, left_nano_usd } = row()!
    return [spent_nano_usd, held_nano_usd, leased_nano_usd, presumed_nano_usd, left_nano_usd]
  }
  assert.deepEqual(amounts(), [1e9, 1e9, 5e9, 0, 8e9])
  rule({ ...decided, type: 'gateway.expired', ...a, keeps_lease: false })
  assert.deepEqual(amounts(), [1e9, 0, 2e9, 1e9, 8e9])
})

test('a bar shows what is there at all, and is full only where nothing is left', () => {
  assert.equal(bar(0, 0, 100), '░░░░░░░░░░░░░░░░░░░░')
  assert.equal(bar(0.001, 0, 100), '█░░░░░░░░░░░░░░░░░░░')
  assert.equal(bar(50, 25, 100), '██████████▒▒▒▒▒░░░░░')
  assert.equal(bar(99.9, 0, 100), '███████████████████░')
  assert.equal(bar(100, 0, 100), '████████████████████')
  assert.equal(bar(90, 10, 100), '██████████████████▒▒')
  assert.equal(bar(120, 10, 100), '████████████████████')
  assert.equal(bar(1, 1, 1_000_000), '█▒░░░░░░░░░░░░░░░░░░')
})

test('an alert reads as what happened to whom, how far, and who wanted it so', () => {
  const entry = { id: 'x', source: '/sluice/enforcer', time: noon }
  const lines = [
    {
      type: 'budget.threshold',
      scope: 'agent:reader',
      agent: 'reader',
      rule: 'budget',
      mode: 'enforce',
      data: { threshold: 0.8, spent_nano_usd: 800_000, limit_nano_usd: 1_000_000, presumed_nano_usd: 0 },
    },
    {
      type: 'loop.detected',
      scope: 'run:r1',
      run_id: 'r1',
      agent: 'reader',
      rule: 'loop',
      mode: 'shadow',
      data: { repeats: 5, call: 'search', cost_nano_usd: 155_000 },
    },
    { type: 'run.killed', scope: 'run:r1', run_id: 'r1', agent: 'reader', data: { actor: 'admin', version: 1 } },
  ].map(alert => lineOf({ ...entry, ...alert }))
  assert.deepEqual(lines, [
    '12:00:00.000  budget.threshold    reader        agent:reader  budget  at 80 %  $0.0008 of $0.001\n',
    '12:00:00.000  loop.detected       reader        r1  loop  shadow  search ×5  cost $0.000155\n',
    '12:00:00.000  run.killed          reader        r1  by admin\n',
  ])
})
