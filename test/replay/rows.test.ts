import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { topics } from '../../schemas/topics.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { LogRecord } from '../../services/io/log/port.ts'
import { openCheck } from '../../services/replay/verify/check.ts'
import { cellsOf, halvesOf } from '../../services/replay/verify/columns.ts'
import { readOf } from '../../services/replay/verify/reading.ts'
import { type Ask, openRows } from '../../services/replay/verify/rows.ts'

/** As many as a million calls leave, and more than are laid side by side. */
const offsets = 150_000
const control = { topic: topics.control.name, partition: 0 }
const record = (offset: number): LogRecord => ({
  key: 'k',
  headers: { ce_id: 'enforcer-1.1.1', ce_type: 'lease.granted', ce_source: 's', ce_time: '2026-11-21T12:00:00.000Z' },
  value: Buffer.from('{}'),
  offset,
})
/** All rows say the same, so one hash does for all of them. */
const [a, b] = halvesOf(cellsOf(readOf(record(0)).raw) ?? [])

/** A table that has a row at each offset but those. */
const table =
  (isMissing: (offset: number) => boolean): Ask =>
  async <Row>(query: string) => {
    const [, size, from, to] = /intDiv\(offset, (\d+)\).* offset >= (\d+) AND offset < (\d+)/s.exec(query) ?? []
    const blocks = new Map<number, { block: number; n: number; a: number; b: number }>()
    for (let offset = Number(from); offset < Number(to); offset++) {
      if (isMissing(offset)) continue
      const block = Math.floor(offset / Number(size))
      const sum = blocks.get(block) ?? { block, n: 0, a: 0, b: 0 }
      blocks.set(block, { block, n: sum.n + 1, a: sum.a + a, b: sum.b + b })
    }
    return [...blocks.values()] as Row[] // as the query for blocks selects them; others find nothing
  }

test('what compaction has given up is no difference, however much of it there is; rows that are missing between are', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-rows-'))
  const log = openFileLog({ dir })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
  const span = { ...control, from: 0, to: offsets }
  const kept = Array.from({ length: offsets / 1_000 }, (_, i) => record(1_000 * i + 999))
  const compared = async (isMissing: (offset: number) => boolean) => {
    const check = openCheck('log ↔ ClickHouse', 'records')
    const rows = openRows(check, 0)
    rows.pass(span, kept, kept)
    for (const one of kept) rows.take(span, readOf(one))
    await rows.compare(log, table(isMissing), [span])
    return check
  }
  const whole = await compared(() => false)
  assert.deepEqual([whole.compared, whole.first], [kept.length, []])
  assert.deepEqual(whole.left, [
    {
      what: `${offsets - kept.length} rows of sluice.control/0, for their records are given up by compaction`,
      matters: false,
    },
  ])
  const without = await compared(offset => offset % 1_000 === 999)
  // The first blocks are laid beside the log, which has nothing to say in this test; those behind are told as they are.
  assert.match(without.first[0]?.what ?? '', /^0 rows for [12] records/)
})
