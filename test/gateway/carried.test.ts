import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { type Continued, continued, encodeFact, type Fact, openingOf } from '../../schemas/events.ts'
import type { LlmQueued } from '../../schemas/llm.ts'
import { topics } from '../../schemas/topics.ts'
import { carryOn } from '../../services/gateway/memory/carry.ts'
import type { Memory } from '../../services/gateway/memory/memory.ts'
import { openCalls } from '../../services/gateway/memory/open-calls.ts'
import { openQueued } from '../../services/gateway/memory/queued.ts'
import { crashed, takeOver } from '../../services/gateway/memory/recover.ts'
import { openReports } from '../../services/gateway/memory/reports.ts'
import { openRecorder } from '../../services/gateway/recorder.ts'
import { openRuns } from '../../services/gateway/runs/runs.ts'
import { Fault } from '../../services/io/fault.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'

/** A start reads so many records, and what is open is told again after so many. */
const [readBack, after] = [200, 100]
const at = { topic: topics.events.name, partition: 0 }
const memory = (): Memory => ({
  runs: openRuns({ mint: () => 'run', idleMs: () => 60_000 }),
  queued: openQueued(),
  reports: openReports(),
  asked: () => {},
})

test('what is open is found by a start however long ago it began, and what has ended meanwhile is not', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-carried-'))
  const log = openFileLog({ dir })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
  await log.ensure(Object.values(topics))
  const writer = await log.writer(at.topic)
  const life = { producer: 'gateway-a-0', epoch: 1 }
  const recorder = openRecorder<Fact | Continued>({ writer, life, encode: encodeFact })
  const [open, queued] = [openCalls(), openQueued()]

  const work = (requestId: string) => ({
    agent: 'tester',
    run_id: 'r',
    root_run_id: 'r',
    request_id: requestId,
    operation: 'chat',
    protocol: 'openai' as const,
  })
  const begin = async (requestId: string): Promise<number> => {
    const data = { nodes: ['org/life'], epoch: 1 }
    const admission = continued('admission.granted', openingOf(work(requestId)), { bound_nano_usd: 500, data })
    const told = await recorder.try(admission, 'r')
    assert.ok(!(told instanceof Fault))
    open.begin(told.offset, { requestId, rootRunId: 'r', admission, since: performance.now() })
    return told.offset
  }
  const told = (fact: Fact) => new Promise<number>(resolve => recorder.tell(fact, 'r', resolve))
  const end = async (requestId: string, offset: number) => {
    await told({ type: 'llm.completed', ...work(requestId), outcome: 'success', cost_nano_usd: 7 })
    open.end(offset)
  }
  /** So many other events, while it is looked for what to tell again. */
  const traffic = async (events: number) => {
    for (let i = 0; i < events; i += 50) {
      for (let j = 0; j < 50; j++) recorder.tell({ type: 'run.finished', ...work(`other-${i + j}`) }, 'r')
      await writer.flush()
      carryOn({ open, queued, recorder }, await log.bounds(at), after)
      await writer.flush()
    }
  }
  const found = async () => {
    const own = memory()
    const { orphans, waiting, calls } = await takeOver(log, at, own, 0, readBack)
    const ids = (list: readonly { readonly request_id?: string | undefined }[]) => list.map(it => it.request_id)
    return { orphans, ids: [ids(orphans), waiting.map(({ call }) => call.requestId)], calls, own }
  }

  await begin('long')
  const ended = await begin('ended')
  const answer: LlmQueued = { type: 'llm.queued', ...work('background'), provider: 'up', response_id: 'resp-1' }
  open.hold('background', await begin('background'))
  queued.remember(answer)
  await told(answer)
  await traffic(500)

  const { orphans, ids, calls, own } = await found()
  assert.deepEqual(ids, [['long', 'ended'], ['background']])
  const held = { nodes: ['org/life'], epoch: 1, costNanoUsd: 500, endedAt: null }
  assert.deepEqual(
    calls.map(({ requestId, ...call }) => [requestId, call]),
    [
      ['long', { ...held, isQueued: false, wasOpen: true }],
      ['ended', { ...held, isQueued: false, wasOpen: true }],
      ['background', { ...held, isQueued: true, wasOpen: false }],
    ],
  )
  assert.equal(own.queued.providerOf('tester', 'resp-1'), 'up')
  const [orphan] = orphans
  assert.ok(orphan !== undefined)
  assert.ok(crashed(orphan, orphan.time + 1_000).latency_ms >= 1_000)
  // A mark may move on behind what is open.
  const { end: until } = await log.bounds(at)
  assert.ok((open.oldest() ?? 0) >= until - readBack)

  await end('ended', ended)
  const background = open.release('background')
  assert.ok(background !== null)
  await told({ type: 'admission.settled', ...work('background'), data: { cost_nano_usd: 9 } })
  open.end(background)
  await traffic(500)
  assert.deepEqual((await found()).ids, [['long'], []])
  await recorder.close()
})
