import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { append, message, Reading } from '../contract/event-log/probe.ts'

const topic = 'crash'
const segmentBytes = 256 * 1024
const at = { topic, partition: 0 }

/** In a process of its own: writes as fast as it can and tells what was acknowledged, until it is killed. */
async function writeUntilKilled(dir: string): Promise<void> {
  const log = openFileLog({ dir, segmentBytes })
  const writer = await log.writer(topic)
  let { end } = await log.bounds(at)
  let acknowledged = end
  let told = end
  const turn = () => {
    if (end - acknowledged < 5_000) {
      for (let i = 0; i < 1 + (end % 40); i++) {
        const number = end++
        writer.append(
          message('k', `${number} ${'x'.repeat((number * 37) % 900)}`, { n: `${number}` }),
          (fault, offset) => {
            if (fault !== null || offset !== number) process.exit(1)
            acknowledged = number + 1
          },
        )
      }
    }
    // The parent believes only what it was told; telling is synchronous enough for that.
    if (acknowledged > told) {
      told = acknowledged
      process.send?.(told)
    }
    setImmediate(turn)
  }
  turn()
}

if (process.argv[2] === 'writer') await writeUntilKilled(process.argv[3]!)
else {
  test('what was acknowledged outlives any number of kill -9, in order and once', async t => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-crash-'))
    const log = openFileLog({
      dir,
      onFault: fault => {
        throw fault
      },
    })
    // This one follows all the time, over all the lives of the writer.
    const live = new Reading(log, topic, 'earliest')
    let acknowledged = 0
    const rounds = 15
    for (let round = 0; round < rounds; round++) {
      const writer = fork(import.meta.filename, ['writer', dir])
      writer.on('message', told => {
        acknowledged = Number(told)
      })
      await once(writer, 'message')
      await new Promise(resolve => setTimeout(resolve, Math.random() * 150))
      writer.kill('SIGKILL')
      await once(writer, 'exit')
    }
    const writer = await log.writer(topic)
    const { end } = await log.bounds(at)
    assert.ok(end >= acknowledged, `${acknowledged} acknowledged, ${end} there`)
    assert.equal(await append(writer, message('k', `${end} the last`)), end)
    await live.count(end + 1)
    await live.follower.close()
    for (const [i, record] of live.records.entries()) {
      assert.equal(record.offset, i)
      assert.equal(Number.parseInt(record.value.toString(), 10), i)
    }
    t.diagnostic(
      `${rounds} kills: ${acknowledged} acknowledged, ${end} there, ${fs.readdirSync(`${dir}/${topic}/0`).length} files`,
    )
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
}
