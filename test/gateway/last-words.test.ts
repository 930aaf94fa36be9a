import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { encodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { unspent } from '../../services/core/money/reports.ts'
import { closeFormer, type FormerCall } from '../../services/gateway/money/last-words.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'

const gateway = 'gateway-a'
const open: FormerCall = {
  requestId: 'req-1',
  epoch: 3,
  isQueued: false,
  wasOpen: true,
  nodes: ['run:r1/life', 'org/1d@2026-11-21'],
  costNanoUsd: 700,
  endedAt: null,
}

test('a call that died before its hold was on the ledger is spent at every cap that it passed, once', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-words-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const log = openFileLog({ dir })
  t.after(() => log.close())
  await log.ensure(Object.values(topics))
  const writer = await log.writer(topics.ledger.name)
  let sequence = 0
  const write = async (message: LedgerMessage) => {
    const envelope = { id: `ledger-a.3.${sequence++}`, source: '/sluice/ledger-a', time: 0 }
    writer.append(encodeLedger(envelope, message, 'org'))
    await writer.flush()
  }
  await write({
    type: 'lease.settled',
    gateway,
    epoch: 3,
    reports: [{ ...unspent('org/1d@2026-11-21'), report: 4, spent_nano_usd: 50 }],
  })
  // Another one whose holds stand on the ledger, and which had ended.
  const ended = {
    ...open,
    requestId: 'req-2',
    wasOpen: false,
    nodes: ['org/1d@2026-11-21'],
    costNanoUsd: 5,
    endedAt: 9,
  }
  const words = await closeFormer(log, 0, gateway, [open, { ...open, requestId: 'req-3', costNanoUsd: 30 }, ended])
  assert.deepEqual(
    words.map(({ report }) => [report.node, report.spent_nano_usd, report.held_nano_usd, report.final]),
    [
      ['org/1d@2026-11-21', 50 + 700 + 30 + 5, 0, true],
      ['run:r1/life', 700 + 30, 0, true],
    ],
  )
  // What it was held to is not what a provider billed beyond it.
  assert.equal(words[1]?.report.beyond_nano_usd, 0)

  for (const { report, ...life } of words) await write({ type: 'lease.returned', ...life, reports: [report] })
  assert.deepEqual(await closeFormer(log, 0, gateway, [open, ended]), [])
})
