import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type Event, encode } from '../../schemas/events.ts'
import { decodeSignal } from '../../schemas/stop.ts'
import { topics } from '../../schemas/topics.ts'
import { noStops } from '../../services/core/runs/stops.ts'
import { openAlerts } from '../../services/enforcer/alerts.ts'
import { openControl } from '../../services/enforcer/control.ts'
import { openSnapshots } from '../../services/enforcer/snapshots.ts'
import { openWideRules, wideGroup } from '../../services/enforcer/wide-rules.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { failing, history, policyOf, times } from '../core/rules/given.ts'
import { until } from '../support/until.ts'

const breakers = policyOf({ errorStreak: { scope: 'agent', count: 6, action: 'pause' } })
const topic = topics.events.name

test('an heir with an empty disk counts on from what was counted, and says nothing again', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-wide-'))
  const log = openFileLog({ dir: path.join(dir, 'log'), pollMs: 2 })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true, force: true })
  })
  const stops: string[] = []
  log.follow(topics.control.name, {
    from: 'earliest',
    onBatch: ({ records }) => void stops.push(...records.map(record => decodeSignal(record)?.signal.scope ?? '')),
  })
  /** It has not even heard what was decided before: only the marks tell it. */
  const count = async (name: string) => {
    const control = await openControl(log, { producer: name, epoch: 1 })
    const alerts = await openAlerts(log, name)
    const rules = await openWideRules({
      log,
      snapshots: openSnapshots(path.join(dir, name)),
      policy: { breakers, policyVersion: 'v' },
      stops: noStops(),
      control,
      alerts,
      source: name,
    })
    return async () => {
      await rules.close()
      await control.close()
      await alerts.close()
    }
  }
  const writers = await Promise.all([0, 1].map(partition => log.writer(topic, { partition })))
  let told = 0
  const tell = async (agent: string, partition: number, time: number): Promise<void> => {
    const said = times(3, i => failing('sql', `${i}`, `${agent}-${partition}`)).flat()
    for (const event of history(said)) {
      const one: Event = { ...event, agent, time: event.time + time, id: `gateway-t.1.${told++}` }
      writers[partition]?.append(encode(one, one.root_run_id))
    }
    await writers[partition]?.flush()
  }
  const isMarked = () =>
    until('all of it judged', async () => {
      const at = [0, 1].map(partition => ({ topic, partition }))
      const marks = await Promise.all(at.map(each => log.committed(wideGroup, each)))
      const ends = await Promise.all(at.map(each => log.bounds(each)))
      return marks.every((mark, i) => Number(mark?.note) === ends[i]?.end)
    })

  const first = await count('first')
  await tell('halved', 0, 0)
  // Whoever reads it later hears the other partition first, and another event cross the line.
  await tell('whole', 1, 60_000)
  await tell('whole', 0, 0)
  await until('the first stop', () => stops.length === 1)
  await first()
  await isMarked()
  const marks = await Promise.all([0, 1].map(partition => log.committed(wideGroup, { topic, partition })))
  assert.deepEqual(
    marks.map(mark => mark?.offset),
    [0, 0],
    'an heir does not begin far enough back',
  )

  const second = await count('second')
  await tell('halved', 1, 120_000)
  await until('the second stop', () => stops.length > 1)
  await tell('later', 0, 180_000)
  await tell('later', 1, 180_000)
  await until('the third stop', () => stops.length > 2)
  await second()
  const again = await count('second')
  await isMarked()
  await again()
  assert.deepEqual(stops, ['agent:whole', 'agent:halved', 'agent:later'])
})
