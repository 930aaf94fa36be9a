import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { MoneyDecision } from '../../schemas/control.ts'
import { encode, type Message } from '../../schemas/events.ts'
import type { LedgerMessage } from '../../schemas/ledger.ts'
import { encodeDecision, encodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { unspent } from '../../services/core/money/reports.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { verified } from '../support/verified.ts'

const node = 'agent:reader/life'
const life = { gateway: 'gateway-a', epoch: 1 }
const decided = { partition: 0, owner: 'enforcer-a.1.1', owner_epoch: 1, ledger_offsets: { 0: 1 } }
const window: MoneyDecision = {
  ...decided,
  type: 'window.opened',
  node,
  version: 0,
  limit_nano_usd: 1_000,
  opens_at: 0,
  closes_at: null,
}
const grant = (granted_nano_usd: number): MoneyDecision => ({
  ...decided,
  ...life,
  type: 'lease.granted',
  node,
  granted_nano_usd,
  ask: 1,
})
const refuse = (spent_nano_usd: number, asked_nano_usd: number): MoneyDecision => ({
  ...decided,
  ...life,
  type: 'budget.exhausted',
  node,
  limit_nano_usd: 1_000,
  spent_nano_usd,
  presumed_nano_usd: 0,
  ask: 2,
  asked_nano_usd,
  resets_at: null,
})

/** A log on which one call of 400 nano-dollars was made, ended and reported; then these decisions; and what is found. */
async function found(t: TestContext, decisions: readonly MoneyDecision[], more: readonly Message[] = [], said = 400) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-decisions-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const log = openFileLog({ dir })
  t.after(() => log.close())
  await log.ensure(Object.values(topics))
  const write = async (topic: string, messages: readonly Message[]) => {
    const writer = await log.writer(topic)
    for (const message of messages) writer.append(message)
    await writer.flush()
    await writer.close()
  }
  const event = (sequence: number, type: string, more: object): Message => {
    const work = { agent: 'reader', run_id: 'r1', root_run_id: 'r1', request_id: 'req-1', operation: 'chat', ...more }
    const id = `gateway-a.1.${sequence}`
    return encode({ id, source: '/sluice/gateway-a', time: sequence, type, ...work }, 'r1')
  }
  const report: LedgerMessage = {
    type: 'lease.settled',
    ...life,
    reports: [{ ...unspent(node), report: 1, spent_nano_usd: said }],
  }
  await write(topics.events.name, [
    event(0, 'admission.granted', { bound_nano_usd: 500, data: { nodes: [node], epoch: 1 } }),
    event(1, 'llm.completed', { outcome: 'success', cost_nano_usd: 400 }),
  ])
  await write(topics.ledger.name, [
    encodeLedger({ id: 'ledger-a.1.0', source: '/sluice/ledger-a', time: 2 }, report, node),
  ])
  const owned: MoneyDecision = { ...decided, type: 'ledger.owned', ledger_offsets: {} }
  const envelope = (i: number) => ({ id: `enforcer-a.1.${i}`, source: '/sluice/enforcer-a', time: 3 })
  await write(topics.control.name, [
    ...[owned, ...decisions].map((decision, i) => encodeDecision(envelope(i), decision)),
    ...more,
  ])
  const checks = await verified(log)
  return checks.flatMap(({ name, first }) => first.map(({ where, what }) => `${name}: ${where}: ${what}`))
}

test('decisions that follow from the log are equal, and so is what was spent', async t => {
  assert.deepEqual(await found(t, [window, grant(1_000), refuse(400, 601)]), [])
})

test('a lease that was not there to be lent is found, and so is a refusal of what fitted', async t => {
  assert.deepEqual(await found(t, [window, grant(1_001), refuse(400, 600)]), [
    `ledger ↔ control: sluice.control/0@2 lease.granted: at ${node} a lease was granted that was not there: 1001 out of 1000 nano-dollars`,
    `ledger ↔ control: sluice.control/0@3 budget.exhausted: at ${node} 600 nano-dollars were refused that fit: 400 spent, 0 presumed of 1000`,
    `ledger ↔ control: ${node}: 1001 are spent, presumed and lent of 1000 nano-dollars`,
  ])
})

test('a decision that names another standing than the log, by one nano-dollar, is found', async t => {
  assert.deepEqual(await found(t, [window, grant(1_000), refuse(401, 600)]), [
    `ledger ↔ control: sluice.control/0@3 budget.exhausted: at ${node} it says spent 401, the log says 400`,
  ])
})

test('a ledger that says one nano-dollar less than its calls cost is found, at the cap and the gateway', async t => {
  assert.deepEqual(await found(t, [window, grant(1_000)], [], 399), [
    `events ↔ ledger: ${node} by gateway-a: 1 calls cost 400 nano-dollars, the ledger says 399 (and 0 held)`,
  ])
})

test('a stop that nobody asked for is found', async t => {
  const stop = {
    id: 'gateway-a.1.7/run:r1/act-kill:signal',
    source: '/sluice/enforcer-a',
    time: 4,
    type: 'kill',
    scope: 'run:r1',
    actor: 'admin',
    mode: 'enforce',
    evidence: ['gateway-a.1.1'],
    data: { version: 1, cause: 'gateway-a.1.7', decided: [] },
  }
  assert.deepEqual(await found(t, [window, grant(1_000)], [encode(stop, 'stop|run:r1|kill')]), [
    `control ↔ events: sluice.control/0@3 (${stop.id}): kill of run:r1: nobody asked for it`,
    `control ↔ events: ${stop.id}: kill of run:r1 names gateway-a.1.7, which is no event`,
  ])
})
