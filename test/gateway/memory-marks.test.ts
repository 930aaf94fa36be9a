import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { memoryGroup } from '../../services/gateway/memory/memory.ts'
import { memoryMarks } from '../../services/gateway/memory/recover.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { appendAll, message } from '../contract/event-log/probe.ts'

test('how far back a next life must read only ever moves on, through any number of lives', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-marks-'))
  const log = openFileLog({ dir })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
  const at = { topic: 'events', partition: 0 }
  const writer = await log.writer(at.topic)
  const write = async (records: number) => {
    await appendAll(
      writer,
      Array.from({ length: records }, () => message('k', 'v')),
    )
    await writer.flush()
  }
  const mark = async () => (await log.committed(memoryGroup, at))?.offset ?? null
  let idleMs = 1_000

  const first = memoryMarks(log, at, () => idleMs)
  await write(10)
  await first.move(null, 0)
  assert.equal(await mark(), 0, 'all of it may still be asked for')
  await write(10)
  await first.move(null, 1_000)
  assert.equal(await mark(), 10, 'what stood there an idle time ago is forgotten')
  await first.move(7, 1_500)
  assert.equal(await mark(), 10)

  // The next life knows nothing of those times, and what was forgotten stays so.
  const second = memoryMarks(log, at, () => idleMs)
  await second.move(null, 2_000)
  assert.equal(await mark(), 10)
  await write(10)
  await second.move(25, 3_000)
  assert.equal(await mark(), 20)
  await second.move(25, 9_000)
  assert.equal(await mark(), 25, 'an open call is kept, however old')

  // A longer time of remembering: nothing more is given up until it is over.
  idleMs = 10_000
  await second.move(null, 10_000)
  assert.equal(await mark(), 25)
  await second.move(null, 19_000)
  assert.equal(await mark(), 30)
})
