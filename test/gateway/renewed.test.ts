import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { encodeLedger } from '../../schemas/money.ts'
import { usualSettings } from '../../services/core/money/purse.ts'
import { openTill, type Taken } from '../../services/gateway/money/till.ts'
import { openRecorder } from '../../services/gateway/recorder.ts'
import type { Writer } from '../../services/io/log/port.ts'
import { marginMs, openBoss, openStage, own, rule, termMs } from '../core/simulation/stage.ts'
import { until } from '../support/until.ts'

const gateway = 'gateway-a'
const limit = 1_000
const parkedMost = 3

/** A till with a real owner of its ledger, and a clock that is moved by hand. */
function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const stage = openStage()
  const boss = openBoss('owner')
  own(stage, boss)
  let heard = 0
  const decide = () => {
    rule(stage, boss)
    till.hear(stage.control.slice(heard))
    heard = stage.control.length
  }
  const recorder = openRecorder<LedgerMessage>({
    writer: writerThatTakesAll(),
    life: { producer: 'ledger-a', epoch: 1 },
    encode: encodeLedger,
    said(_, message) {
      stage.ledger.push(message)
      setImmediate(decide)
    },
  })
  let epoch = 1
  const till = openTill({
    life: { gateway, epoch },
    recorder,
    partitions: [0],
    keyOf: () => 'org',
    settings: { ...usualSettings, parkedMost },
    owed: new Map(),
    eventsEnd: 0,
    nextLife: () => ({ gateway, epoch: ++epoch }),
    now: () => stage.now,
  })
  t.after(() => till.close())
  let calls = 0
  const spend = async (run: string, amount: number, isNew: boolean): Promise<Taken> => {
    const call = `call-${++calls}`
    for (const node of [run, 'org/life']) stage.limits.set(node, limit)
    const taken = await till.admit(
      call,
      [run, 'org/life'].map(node => ({
        node,
        scope: node,
        partition: 0,
        limitNanoUsd: limit,
        opensAt: 0,
        closesAt: null,
        holdNanoUsd: amount,
        ...(node === run ? { mintedBy: till.life(), isNew, version: 0 } : {}),
      })),
    )
    if (taken.verdict === 'admit') {
      if (taken.written !== null) assert.ok(await taken.written)
      till.settle(call, amount, null)
    }
    return taken
  }
  /** So long that runs idle, and that it is looked for them. */
  const idle = () => {
    stage.now += usualSettings.idleMs
    t.mock.timers.tick(5_000)
  }
  /** It does not come to speak for longer than its term. */
  const pause = () => {
    stage.now += termMs + marginMs + 1
    decide()
  }
  const spentAt = (node: string) => boss.owner.books.nodes.get(node)
  return { till, spend, idle, pause, spentAt }
}

test('a gateway with too many runs behind it goes on in a new epoch: nothing is counted twice, and none is forgotten', async t => {
  const { till, spend, idle, spentAt } = open(t)
  const runs = Array.from({ length: 2 * parkedMost }, (_, i) => `run:r${i}/life`)
  for (const run of runs) assert.equal((await spend(run, 10, true)).verdict, 'admit')
  await until('a new epoch', async () => {
    idle()
    await new Promise(setImmediate)
    return till.life().epoch > 1
  })
  // One that goes on asks again, for the epoch that named it is over, and finds what it has spent.
  assert.equal((await spend(runs[0] ?? '', 900, false)).verdict, 'admit')
  assert.equal((await spend('run:new/life', 5, true)).verdict, 'admit')
  const told = await spend(runs[0] ?? '', 91, false)
  assert.equal(told.verdict, 'exceeded')
  await until('all was told', () => {
    t.mock.timers.tick(1_000)
    return spentAt('org/life')?.spent === 10 * runs.length + 905
  })
  for (const run of runs.slice(1)) {
    const { spent, presumed, leased } = spentAt(run) ?? {}
    assert.deepEqual({ spent, presumed, leased }, { spent: 10, presumed: 0, leased: 0 })
  }
  assert.equal(spentAt(runs[0] ?? '')?.spent, 910)
})

test('a gateway that was paused for longer than its term spends in a new epoch, under the same owner', async t => {
  const { till, spend, pause, spentAt } = open(t)
  assert.equal((await spend('run:a/life', 10, true)).verdict, 'admit')
  pause()
  assert.equal(till.life().epoch, 2)
  assert.equal((await spend('run:b/life', 20, true)).verdict, 'admit')
  assert.equal((await spend('run:a/life', 30, false)).verdict, 'admit')
  await until('all was told', () => {
    t.mock.timers.tick(1_000)
    return spentAt('org/life')?.spent === 60
  })
})

function writerThatTakesAll(): Writer {
  let offset = 0
  return {
    append(_, done) {
      const mine = offset++
      setImmediate(() => done?.(null, mine))
    },
    flush: async () => {},
    backlog: () => ({ records: 0, ageMs: 0 }),
    close: async () => {},
  }
}
