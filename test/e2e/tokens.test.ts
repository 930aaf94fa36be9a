import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { call, exchange, openRun, partsOf } from '../oauth/asking.ts'
import { sql } from '../support/books.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

test('the tables tell for whom each call was made, and a token of one worker opens all of them', async t => {
  const key = mintAgentKey()
  const lead = { keys: [`sha256:${hashOfKey(key)}`], mayDelegateTo: ['writer'] }
  const stack = await startStack({
    config: JSON.stringify({ agents: { lead, writer: {} } }),
    env: { SLUICE_WORKERS: '2' },
  })
  t.after(() => stack.close())
  const url = stack.told('Gateway')
  const run = await openRun(url, key)
  const { token, json } = await exchange(url, key, { agent: 'writer', run_id: run })
  // Each call is a connection of its own, so both workers get some.
  const answers = await Promise.all(Array.from({ length: 12 }, () => call(url, token)))
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])

  type Row = Readonly<Record<string, unknown>>
  const rows = () => sql<Row>(stack, `SELECT * FROM calls WHERE agent = 'writer'`)
  await until('the rows', async () => (await rows()).length === 12, 10_000, 100)
  for (const row of await rows())
    assert.partialDeepStrictEqual(row, {
      chain: ['lead', 'writer'],
      chain_verified: true,
      run_source: 'token',
      run_id: json['run_id'],
      parent_run_id: run,
      root_run_id: run,
      depth: 1,
    })
  // What the other worker tells of the runs comes by a way of its own.
  await until(
    'the tree',
    async () => {
      const [tree] = await sql<Row>(stack, `SELECT children, tree_cost_nano_usd FROM runs WHERE run_id = '${run}'`)
      return Number(tree?.['children']) === 1 && Number(tree?.['tree_cost_nano_usd']) > 0
    },
    10_000,
    100,
  )
  const issued = await sql<Row>(stack, `SELECT agent, actor, data FROM events WHERE type = 'token.issued'`)
  assert.partialDeepStrictEqual(issued, [{ agent: 'writer', actor: 'agent:lead' }])
  assert.ok(String(issued[0]?.['data']).includes(String(partsOf(token).claims['jti'])))

  const verified = await stack.cli('verify')
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  const signer = String(partsOf(token).header['kid'])
  const file = path.join(stack.dataDir, 'token-key.json')
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  const revoked = await stack.cli('keys', 'revoke', signer)
  assert.equal(revoked.code, 0, revoked.stderr)
  await until('the end', async () => (await call(url, token)).status === 401, 1_000)
  const signature = token.split('.')[2] ?? ''
  assert.ok(!stack.stderr().includes(signature) && !stack.stdout().includes(signature))
})
