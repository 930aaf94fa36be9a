import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { bareEnv, cli, spawnStack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

function directory(t: TestContext): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-cli-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  return dir
}

const misuses: readonly (readonly [args: readonly string[], code: number, said: RegExp])[] = [
  [['strat'], 2, /^There is no command strat; did you mean start\?\n$/],
  [['wholly-unknown'], 2, /^There is no command wholly-unknown; sluice help lists them\.\n$/],
  [['start', 'gatway'], 2, /^There is no role gatway; did you mean gateway\?\n$/],
  [['keys'], 2, /^sluice keys create --agent A, sluice keys list, or sluice keys revoke <id>\.\n$/],
  [['keys', 'create'], 2, /^Say whose key it is: sluice keys create --agent <name>\.\n$/],
  [['keys', 'create', '--agent', 'a b'], 1, /^An agent has a name of up to 128 letters/],
  [['keys', 'list', '--jsn'], 2, /^Unknown option '--jsn'; sluice help keys shows how it is called\.\n$/],
  [['tail', '--from', 'yesterday'], 2, /^--from wants earliest, latest, a duration/],
  [['sql', 'SELECT 1'], 1, /^Nothing was ever started on .*; run npm start first, or set SLUICE_DATA_DIR\.\n$/],
  [['role', 'gateway'], 2, /^A role runs under a supervisor/],
  [['kafka', '--port', 'x'], 2, /^--port wants a port/],
]
for (const [args, code, said] of misuses)
  test(`sluice ${args.join(' ')} fails in one sentence that says what to do`, async t => {
    const told = await cli({ ...bareEnv, SLUICE_DATA_DIR: path.join(directory(t), 'data') }, args)
    assert.equal(told.stdout, '')
    assert.match(told.stderr, said)
    assert.equal(told.code, code)
  })

test('help lists every command, and version tells both versions', async () => {
  const help = await cli(bareEnv, ['help'])
  for (const name of ['start', 'keys', 'sql', 'tail', 'kafka', 'version'])
    assert.match(help.stdout, new RegExp(`^  ${name} `, 'm'))
  assert.equal(
    (await cli(bareEnv, ['keys', '--help'])).stdout.split('\n')[0],
    'sluice keys create --agent A | list | revoke <id>',
  )
  const version = await cli(bareEnv, ['version', '--json'])
  assert.deepEqual(JSON.parse(version.stdout), { version: '0.1.0', node: process.versions.node })
})

test('a mistake in the file stops the start, told once with file, line and path', async () => {
  const stack = spawnStack({ config: 'agents:\n  a:\n    budgts: []\n' })
  try {
    assert.equal(await new Promise(resolve => stack.child.on('exit', resolve)), 1)
    const said = stack
      .stderr()
      .split('\n')
      .filter(line => !line.startsWith('{'))
    assert.deepEqual(said, ['given.yaml:3:5: agents.a.budgts: unknown key; did you mean budgets?', ''])
    assert.equal(stack.stdout(), '')
    assert.deepEqual(stack.processes(), [])
  } finally {
    await stack.close()
  }
})

test('a wrong variable stops it before anything is started', async t => {
  const dir = path.join(directory(t), 'data')
  const told = await cli({ ...bareEnv, SLUICE_DATA_DIR: dir, SLUICE_PORT: 'x' }, ['start'])
  assert.deepEqual(told, {
    code: 1,
    stdout: '',
    stderr: 'SLUICE_PORT: expected a whole number from 0 to 65535, got "x"\n',
  })
  assert.ok(!fs.existsSync(dir))
})

test('keys are made, listed and revoked where nothing runs', async t => {
  const env = { ...bareEnv, SLUICE_DATA_DIR: path.join(directory(t), 'data') }
  assert.equal((await cli(env, ['keys', 'list'])).stdout.trim(), 'id  agent  state  created  revoked')
  const made = JSON.parse((await cli(env, ['keys', 'create', '--agent', 'a', '--json'])).stdout)
  assert.deepEqual(Object.keys(made).sort(), ['agent', 'id', 'key'])
  // The whole key may be pasted; only its id is used.
  assert.equal((await cli(env, ['keys', 'revoke', made.key])).code, 0)
  const [row] = JSON.parse((await cli(env, ['keys', 'list', '--json'])).stdout)
  assert.deepEqual([row.id, row.state], [made.id, 'revoked'])
  const files = fs.readdirSync(env.SLUICE_DATA_DIR, { recursive: true, encoding: 'utf8', withFileTypes: true })
  const secret = made.key.split('_')[2]
  for (const file of files.filter(entry => entry.isFile()))
    assert.ok(!fs.readFileSync(path.join(file.parentPath, file.name)).includes(secret), 'only the hash is kept')
})

test('two gateways behind one port write a partition each, beside another stack', async () => {
  const [stack, other] = await Promise.all([
    startStack({ roles: ['gateway'], env: { SLUICE_WORKERS: '2' } }),
    startStack({ roles: ['gateway'] }),
  ])
  try {
    const key = stack.credentials().agentKey
    const url = stack.told('Gateway')
    const call = () =>
      fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        // A connection of its own each time: the system spreads connections, not requests.
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }),
      }).then(response => response.text().then(() => response.status))
    await until('both gateways to have answered', async () => {
      assert.deepEqual([...new Set(await Promise.all(Array.from({ length: 8 }, call)))], [200])
      const { stdout } = await stack.cli('tail', '--json', '--from', 'earliest', '--no-follow')
      return (
        new Set(
          stdout
            .trim()
            .split('\n')
            .map(line => JSON.parse(line).partition),
        ).size === 2
      )
    })
    assert.equal((await fetch(`${other.told('Gateway')}/health`)).status, 200)
    const stranger = await fetch(`${other.told('Gateway')}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
    assert.equal(stranger.status, 401)
    // The same admin routes, found by URL from elsewhere.
    const { SLUICE_DATA_DIR: _, ...env } = stack.env
    const far = {
      ...env,
      SLUICE_DATA_DIR: path.join(other.dataDir, 'elsewhere'),
      SLUICE_URL: url,
      SLUICE_ADMIN_TOKEN: stack.credentials().adminToken,
    }
    assert.equal((await cli(far, ['keys', 'create', '--agent', 'far'])).code, 0)
    assert.match((await stack.cli('keys', 'list')).stdout, /far +active/)
  } finally {
    await Promise.all([stack.close(), other.close()])
  }
})
