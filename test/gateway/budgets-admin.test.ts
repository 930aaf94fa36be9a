import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Envelope, formatEventId } from '../../schemas/envelope.ts'
import { encodeDecision, encodeLedger } from '../../schemas/money.ts'
import { topics } from '../../schemas/topics.ts'
import { unspent } from '../../services/core/money/reports.ts'
import { followBooks, readWithin } from '../../services/gateway/money/books-view.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

const noon = Date.now()
let n = 0
const envelope = (): Envelope => ({
  id: formatEventId({ producer: 'test', epoch: 0, sequence: n++ }),
  source: '/sluice/test',
  time: noon,
})

test('a gateway tells how caps stand, to an admin alone, and what is spent later it tells when it is asked again', async t => {
  const agents = { spender: { budgets: [{ limitUsd: 1 }] } }
  const { url, adminToken, key, log } = await startTestGateway(t, { config: { agents } })
  const node = 'agent:spender/life'
  const ledger = await log.writer(topics.ledger.name, { partition: 1 })
  const spend = (spent: number) => {
    const life = { gateway: 'gateway-other-0', epoch: 3 }
    const reports = [{ ...unspent(node), report: n, spent_nano_usd: spent, held_nano_usd: 5 }]
    ledger.append(encodeLedger(envelope(), { type: 'lease.settled', ...life, reports }, node))
    return ledger.flush()
  }
  const ask = async (token: string) => send(`${url}/admin/budgets`, { headers: { authorization: `Bearer ${token}` } })
  const standing = async () => {
    const { status, text } = await ask(adminToken)
    assert.equal(status, 200, text)
    const [row] = JSON.parse(text).budgets
    return [row.node, row.spent_nano_usd, row.held_nano_usd, row.left_nano_usd]
  }
  assert.equal((await ask(key)).status, 401)
  assert.deepEqual(await standing(), [node, 0, 0, 1e9])
  await spend(200)
  await until('what was spent', async () => (await standing())[1] === 200)
  await spend(300)
  await until('what was spent then', async () => (await standing())[1] === 300)
  assert.deepEqual(await standing(), [node, 300, 5, 1e9 - 305])
  await ledger.close()
})

test('where each partition of the ledger has an owner, each keeps books of its own', async t => {
  const { log } = await startTestGateway(t)
  const control = await log.writer(topics.control.name)
  const node = 'agent:a/life'
  for (const partition of [0, 1, 2]) {
    const by = { partition, owner: `enforcer-${partition}`, owner_epoch: 1, ledger_offsets: {} }
    control.append(encodeDecision(envelope(), { type: 'ledger.owned', ...by }))
    const opened = { version: 1, limit_nano_usd: 10 + partition, opens_at: 0, closes_at: null }
    control.append(encodeDecision(envelope(), { type: 'window.opened', ...by, node, ...opened }))
  }
  await control.close()
  const limitsOf = async (owners: number) => {
    const view = followBooks(log, owners)
    await readWithin(view, 5_000)
    const limits = view.books().map(({ nodes }) => nodes.get(node)?.limit?.nanoUsd)
    await view.close()
    return limits
  }
  assert.deepEqual(await limitsOf(1), [10])
  assert.deepEqual(await limitsOf(3), [10, 11, 12])
  const hurried = followBooks({ ...log, follow: () => never() }, 1)
  await assert.rejects(readWithin(hurried, 20), { code: 'ledger_unread', retriable: true })
})

/** A log that does not answer. */
const never = () => ({
  caughtUp: new Promise<void>(() => {}),
  ended: new Promise<void>(() => {}),
  close: async () => {},
})
