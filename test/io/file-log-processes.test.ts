import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { append, Condition, Member, message, Reading, texts } from '../contract/event-log/probe.ts'

const topic = 'processes'
const group = 'workers'
const at = { topic, partition: 0 }

/** What the other process does: holds a partition and writes `hello`, or is a member of the group and tells what it got. */
async function other(role: string, dir: string, partition: number): Promise<void> {
  const log = openFileLog({ dir })
  if (role === 'writer') {
    const writer = await log.writer(topic, { partition, lockWaitMs: 10_000 })
    await append(writer, message('k', `hello from ${partition}`))
    await writer.flush()
    process.send?.('ready')
  } else {
    log.consume(group, [topic], {
      assigned: (_, mark) => {
        process.send?.('ready')
        return mark?.offset ?? 0
      },
      onBatch: async batch => {
        const last = batch.records.at(-1)!
        await log.commit(group, batch, { offset: last.offset + 1 })
        process.send?.(texts(batch.records))
      },
      revoked: () => {},
    })
  }
  process.on('disconnect', () => process.exit())
  setInterval(() => {}, 60_000)
}

const [, , role, dirOfParent, partition] = process.argv
if (role !== undefined && dirOfParent !== undefined) await other(role, dirOfParent, Number(partition))
else tests()

function tests(): void {
  let dir: string
  let log: EventLog
  const children: ChildProcess[] = []
  const start = async (role: string, partition = 0): Promise<ChildProcess> => {
    const child = fork(import.meta.filename, [role, dir, `${partition}`])
    children.push(child)
    await once(child, 'message')
    return child
  }
  const kill = async (child: ChildProcess) => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-processes-'))
    log = openFileLog({ dir })
  })
  afterEach(async () => {
    await log.close()
    await Promise.all(children.splice(0).map(kill))
    fs.rmSync(dir, { recursive: true })
  })

  test('a partition has one writer process; the next waits, and has it as soon as the first is killed', async () => {
    const holder = await start('writer')
    await assert.rejects(log.writer(topic, { lockWaitMs: 60 }), { code: 'log_locked', retriable: true })
    const waiting = log.writer(topic, { lockWaitMs: 10_000 })
    await kill(holder)
    assert.equal(await append(await waiting, message('k', 'mine now')), 1)
  })

  test('the same directory by another path is the same partition', async () => {
    await start('writer')
    fs.symlinkSync(dir, `${dir}-link`)
    const linked = openFileLog({ dir: `${dir}-link` })
    await assert.rejects(linked.writer(topic, { lockWaitMs: 60 }), { code: 'log_locked' })
    fs.rmSync(`${dir}-link`)
  })

  test('one process cannot open a partition twice, and after a close it can', async () => {
    const first = await log.writer(topic)
    await assert.rejects(log.writer(topic, { lockWaitMs: 0 }), { code: 'log_locked' })
    await first.close()
    await (await log.writer(topic, { lockWaitMs: 0 })).close()
  })

  test('partitions that other processes bring are followed and consumed without being asked for', async () => {
    const reading = new Reading(log, topic, 'latest')
    await reading.follower.caughtUp
    const member = new Member(log, group, [topic])
    await start('writer', 0)
    await reading.count(1)
    await Promise.all([start('writer', 2), start('writer', 7)])
    await reading.count(3)
    await member.until('all three', () => member.records.length === 3)
    assert.deepEqual(await log.partitions(topic), [0, 2, 7])
    assert.deepEqual(member.assigned.map(one => one.partition).toSorted(), [0, 2, 7])
    assert.deepEqual((await reading.end()).toSorted(), ['hello from 0', 'hello from 2', 'hello from 7'])
    await member.end()
  })

  test('a member in another process works until it is killed; this one waits, then goes on at its mark', async () => {
    const writer = await log.writer(topic)
    const first = await start('member').catch(() => assert.fail('no member'))
    // It had nothing to be assigned before the partition was there; now it has.
    const got = new Condition()
    const theirs: string[] = []
    first.on('message', values => {
      if (Array.isArray(values)) theirs.push(...values)
      got.changed()
    })
    await append(writer, message('k', 'a'))
    await got.until('the other process has it', () => theirs.length === 1)
    const mine = new Member(log, group, [topic])
    await append(writer, message('k', 'b'))
    await got.until('the other process has that too', () => theirs.length === 2)
    assert.deepEqual(mine.assigned, [])
    await kill(first)
    await append(writer, message('k', 'c'))
    await mine.until('it was taken over', () => mine.records.length === 1)
    await mine.end()
    assert.deepEqual([theirs, texts(mine.records)], [['a', 'b'], ['c']])
    assert.deepEqual((await log.committed(group, at))?.offset, 3)
  })
}
