import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import type { Check } from '../../services/replay/verify/check.ts'
import { columns } from '../../services/replay/verify/columns.ts'
import { send } from '../support/gateway.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const key = mintAgentKey()
const config = `org: { budgets: [{ limitUsd: 10, window: 1d }] }
runs: { defaults: { budgets: [{ limitUsd: 0.05 }] } }
agents:
  writer: { keys: ["sha256:${hashOfKey(key)}"], budgets: [{ limitUsd: 0.0004, window: 1d }, { limitUsd: 0.5 }] }
`

test('each column of the table is compared, but for those that ClickHouse makes itself', () => {
  const file = path.join(import.meta.dirname, '../../schemas/clickhouse/001_events.sql')
  const names = [...fs.readFileSync(file, 'utf8').matchAll(/^ {2}`?([a-z_]+)`? [A-Z]\w+/gm)].map(
    ([, name]) => name ?? '',
  )
  const own = ['topic', 'partition', 'offset', 'stored_at', 'kind', 'started_at']
  assert.ok(names.length > 70)
  assert.deepEqual(
    names.filter(name => name !== 'INDEX' && !own.includes(name) && !columns.some(column => column.name === name)),
    [],
  )
})

describe('the books of a stack with caps', {
  skip: process.platform !== 'linux' && 'processes are found by /proc',
}, () => {
  let stack: Stack
  before(async () => {
    stack = await startStack({ config })
  })
  after(() => stack.close())

  const call = (headers: Record<string, string> = {}) =>
    send(`${stack.told('Gateway')}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}`, ...headers },
      body: JSON.stringify({ model: 'simulator', max_tokens: 30, messages: [{ role: 'user', content: 'Hello' }] }),
    }).catch(() => ({ status: 0 }))
  const sql = async (query: string): Promise<Record<string, unknown>[]> => {
    const { code, stdout, stderr } = await stack.cli('sql', '--json', '--user', 'sluice', query)
    assert.equal(code, 0, stderr)
    return stdout.trim() === '' ? [] : JSON.parse(stdout)
  }
  const verify = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await stack.cli('verify', '--json', ...args)
    assert.ok(stdout.startsWith('{'), stderr)
    const { checks } = JSON.parse(stdout) as { checks: readonly Check[] }
    const found = checks.flatMap(({ name, first }) => first.map(({ where, what }) => `${name}: ${where}: ${what}`))
    return { code, checks, found }
  }

  test('are equal after traffic up to the cap, a kill and a stop', async () => {
    const early = await Promise.all(Array.from({ length: 4 }, () => call()))
    assert.ok(early.some(({ status }) => status === 200))
    for (const { pid } of stack.processes().filter(({ title }) => title === 'sluice:gateway'))
      process.kill(pid, 'SIGKILL')
    await until('the gateway', async () => (await fetch(`${stack.told('Gateway')}/ready`)).ok, 20_000)
    const run = { 'x-sluice-run-id': 'run-of-the-test' }
    await until('a refusal', async () => (await call(run)).status === 402, 30_000)
    const { code, stderr } = await stack.cli('run', 'kill', 'run-of-the-test')
    assert.equal(code, 0, stderr)

    const all = await verify()
    assert.deepEqual(all.found, [])
    assert.equal(all.code, 0, JSON.stringify(all.checks))
    for (const { name, compared } of all.checks) assert.ok(compared > 0, name)
  })

  test('differ by a row that says something else, one that is there twice, and one that is gone', async () => {
    const rows = await sql(
      "SELECT event_id, offset FROM events WHERE type = 'llm.completed' AND cost_nano_usd > 0 ORDER BY offset LIMIT 3",
    )
    const ids = rows.map(row => String(row['event_id']))
    const wheres = rows.map(row => `log ↔ ClickHouse: sluice.events/0@${row['offset']} (${row['event_id']})`)
    const [altered = '', twice = '', gone = ''] = wheres
    await sql(`ALTER TABLE events UPDATE cost_nano_usd = cost_nano_usd + 1 WHERE event_id = '${ids[0]}' ${settled}`)
    await sql(`INSERT INTO events SELECT * FROM events WHERE event_id = '${ids[1]}'`)
    await sql(`ALTER TABLE events DELETE WHERE event_id = '${ids[2]}' ${settled}`)

    const { code, found } = await verify()
    assert.equal(code, 1)
    const all = found.join('\n')
    assert.match(all, new RegExp(`${escaped(altered)}: cost_nano_usd is \\d+ in the table and \\d+ on the log`))
    assert.ok(found.includes(`${twice}: 2 rows in the table`), all)
    assert.ok(found.includes(`${gone}: missing in the table`), all)
    assert.match(all, /rows ↔ sums: spend_by_minute .* cost_nano_usd is \d+ (above|below) the rows/)
    assert.equal(found.filter(line => line.startsWith('log')).length, 3, all)
  })

  test('are proved from the log alone where nothing runs, and a damaged byte is found in its file', async () => {
    await stack.stop()
    const whole = await verify()
    assert.equal(whole.code, 2, 'nobody can say what ClickHouse has')
    assert.deepEqual([(await verify('--log-only')).code, whole.found], [0, []])

    const file = path.join(stack.dataDir, 'log/sluice.events/0/0000000000000000.seg')
    const bytes = fs.readFileSync(file)
    const at = bytes.indexOf('"bound_nano_usd"')
    bytes.writeUInt8(bytes.readUInt8(at + 2) ^ 1, at + 2)
    fs.writeFileSync(file, bytes)
    const damaged = await verify('--log-only')
    assert.equal(damaged.code, 1)
    assert.ok(
      damaged.found.some(line => line.includes(file)),
      damaged.found.join('\n'),
    )
    // It was an admission: the ledger counts a call that the events no longer tell.
    assert.match(damaged.found.join('\n'), /events ↔ ledger: org/)
    assert.match(damaged.found.join('\n'), /the log itself: sluice\.events\/0@\d+: cannot be read/)
  })
})

const settled = 'SETTINGS mutations_sync = 2'
const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
