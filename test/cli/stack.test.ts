import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { alive, cli, type Stack, spawnStack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const sh = promisify(execFile)
const ask = (url: string, key: string) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }),
  })

describe('a whole stack', () => {
  let stack: Stack
  let gateway: string
  before(async () => {
    stack = await startStack()
    gateway = stack.told('Gateway')
  })
  after(() => stack.close())

  test('is up within five seconds and says where, with what, and what to try', () => {
    const seconds = Number(/is up after ([\d.]+) s/.exec(stack.stdout())?.[1])
    assert.ok(seconds > 0)
    // The promise is for a machine that has nothing else to do.
    if ((os.loadavg()[0] ?? 0) < os.availableParallelism()) assert.ok(seconds < 5, `${seconds} s`)
    const { agentKey, adminToken } = stack.credentials()
    assert.match(gateway, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.match(stack.told('SQL'), /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.equal(stack.told('Agent key'), agentKey)
    assert.equal(stack.told('Admin token'), adminToken)
    assert.ok(!stack.stdout().includes('\u001b'), 'plain where nobody looks')
  })

  test('the curl of the banner works as it stands, and its call is a row that sql finds', async () => {
    const curl = stack.stdout().match(/^ {2}(curl .*)$/m)?.[1]
    const { stdout } = await sh('bash', ['-c', curl ?? ''])
    assert.equal(JSON.parse(stdout).object, 'chat.completion')
    const query = 'SELECT agent, outcome, cost_nano_usd FROM calls'
    await until('the row', async () => (await stack.cli('sql', query)).stdout.includes('quickstart'))
    const table = await stack.cli('sql', query)
    assert.match(table.stdout, /─agent─.*outcome.*cost_nano_usd/)
    const json = await stack.cli('sql', '--json', query)
    assert.deepEqual(JSON.parse(json.stdout), [{ agent: 'quickstart', outcome: 'success', cost_nano_usd: 49_000 }])
  })

  test('sql takes parameters and formats, and says what was wrong', async () => {
    const param = await stack.cli('sql', '--param', 'n=41', 'SELECT {n:UInt8} + 1 AS n FORMAT TabSeparated')
    assert.deepEqual(param, { code: 0, stdout: '42\n', stderr: '' })
    const wrong = await stack.cli('sql', 'SELECT nothing FROM nowhere')
    assert.equal(wrong.code, 1)
    assert.match(wrong.stderr, /UNKNOWN_TABLE/)
    const write = await stack.cli('sql', 'CREATE TABLE t (a UInt8) ENGINE = Memory')
    assert.notEqual(write.code, 0)
    const none = await stack.cli('sql')
    assert.equal(none.code, 2)
    assert.match(none.stderr, /^Give a query/)
  })

  test('a key that is made opens the gateway, and one that is revoked does not, within a second', async () => {
    // Three where other suites share the machine.
    const made = await stack.cli('keys', 'create', '--agent', 'researcher')
    const key = made.stdout.trim()
    assert.match(key, /^slk_[0-9a-f]{12}_[0-9a-f]{48}$/)
    const id = key.split('_')[1]!
    await until('the key to be known', async () => (await ask(gateway, key)).status === 200, 3_000)
    const listed = JSON.parse((await stack.cli('keys', 'list', '--json')).stdout)
    assert.deepEqual([listed[0].id, listed[0].agent, listed[0].state], [id, 'researcher', 'active'])
    const revoked = await stack.cli('keys', 'revoke', id)
    assert.deepEqual(revoked, { code: 0, stdout: `Key ${id} of agent researcher is revoked.\n`, stderr: '' })
    await until('the key to be refused', async () => (await ask(gateway, key)).status === 401, 3_000)
    const table = await stack.cli('keys', 'list')
    assert.match(table.stdout, new RegExp(`^id +agent +state.*\n${id} +researcher +revoked`))
    const again = await stack.cli('keys', 'revoke', 'nothing')
    assert.equal(again.code, 1)
    assert.match(again.stderr, /There is no key nothing/)
  })

  test('admin routes want the admin token', async () => {
    const wrong = await fetch(`${gateway}/admin/keys`, {
      headers: { authorization: `Bearer ${stack.credentials().agentKey}` },
    })
    assert.equal(wrong.status, 401)
    const { code, stderr } = await cli({ ...stack.env, SLUICE_ADMIN_TOKEN: 'wrong' }, ['keys', 'list'])
    assert.equal(code, 1)
    assert.match(stderr, /admin token/)
  })

  test('tail prints what was written, as lines and as JSON', async () => {
    await ask(gateway, stack.credentials().agentKey)
    const lines = await stack.cli('tail', '--from', 'earliest', '--no-follow')
    assert.match(lines.stdout, /^\d\d:\d\d:\d\d\.\d{3} {2}run\.started +quickstart/m)
    assert.match(
      lines.stdout,
      /llm\.completed +quickstart +run-\S+ +#1 +simulator\/simulator +2→32 tokens +\$0\.000049 +success/,
    )
    const json = await stack.cli('tail', '--json', '--topic', 'events', '--from', '1h', '--no-follow')
    const events = json.stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.ok(events.some(event => event.type === 'llm.completed' && event.partition === 0 && event.offset > 0))
    assert.match((await stack.cli('tail', '--topic', 'evnts')).stderr, /There is no topic evnts; did you mean events\?/)
  })

  test('each process is named after its roles', {
    skip: process.platform !== 'linux' && 'names are read from /proc',
  }, () => {
    const titles = stack.processes().map(({ title }) => title)
    assert.deepEqual(titles.sort(), ['sluice:enforcer+sink', 'sluice:gateway', 'sluice:warehouse'])
    assert.match(fs.readFileSync(`/proc/${stack.child.pid}/cmdline`, 'utf8'), /^sluice:supervisor\0/)
  })

  test('a second stack on the same directory, and one on the same port, are refused in a sentence', async () => {
    const second = await stack.cli('start')
    assert.equal(second.code, 1)
    assert.match(
      second.stderr,
      /^\S+ already has a running gateway, enforcer, sink, warehouse at http:\S+ \(process \d+\); stop it, .*\n$/,
    )
    const port = new URL(gateway).port
    const other = spawnStack({ env: { SLUICE_PORT: port } })
    try {
      assert.equal(await new Promise(resolve => other.child.on('exit', resolve)), 1)
      assert.match(
        other.stderr(),
        new RegExp(
          `^Port ${port} on 127\\.0\\.0\\.1 is taken by another program; stop it or set SLUICE_PORT to another port\\.\n$`,
        ),
      )
    } finally {
      await other.close()
    }
  })

  test('a gateway that is killed is back, and answers', {
    skip: process.platform !== 'linux' && 'names are read from /proc',
  }, async () => {
    const { pid } = stack.processes().find(({ title }) => title === 'sluice:gateway')!
    process.kill(pid, 'SIGKILL')
    await until('the new one', () => stack.stderr().includes('gateway is up again'))
    assert.equal((await ask(gateway, stack.credentials().agentKey)).status, 200)
  })

  test('SIGTERM drains: exit code 0, no process left, no key in the log, and the calls are still there at the next start', async () => {
    const left = stack.processes()
    assert.equal(await stack.stop(), 0)
    for (const { pid } of left) assert.ok(!alive(pid))
    assert.ok(!fs.existsSync(path.join(stack.dataDir, 'stack.json')))
    const { agentKey, adminToken, warehouse } = stack.credentials()
    for (const secret of [agentKey.split('_')[2]!, adminToken, ...Object.values(warehouse)])
      assert.ok(!stack.stderr().includes(secret))
    for (const line of stack.stderr().trim().split('\n')) assert.equal(typeof JSON.parse(line), 'object')
    const offline = await stack.cli('sql', 'SELECT 1')
    assert.match(offline.stderr, /does not answer \(ECONNREFUSED\); start the stack first/)
    const list = await stack.cli('keys', 'list')
    assert.match(list.stdout, /researcher +revoked/)
  })
})
