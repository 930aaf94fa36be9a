import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { inspect, promisify } from 'node:util'
import { parseAgentKey } from '../../schemas/agent-key.ts'
import { Secret } from '../../schemas/secret.ts'
import { openCredentials, readCredentials } from '../../services/io/keys/credentials.ts'

function directory(t: { after(fn: () => void): void }): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-credentials-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  return path.join(dir, 'data')
}
const stored = (dataDir: string) => JSON.parse(fs.readFileSync(path.join(dataDir, 'credentials.json'), 'utf8'))

test('a first start makes the credentials, for the owner alone, and a later one uses them again', t => {
  const dataDir = directory(t)
  const first = openCredentials({ dataDir, adminToken: null })
  assert.deepEqual(first.made, ['adminToken', 'agentKey'])
  assert.equal(fs.statSync(path.join(dataDir, 'credentials.json')).mode & 0o777, 0o600)
  assert.notEqual(parseAgentKey(first.credentials.agentKey.reveal()), null)
  assert.deepEqual(Object.keys(stored(dataDir)), ['adminToken', 'agentKey', 'warehouse'])
  const second = openCredentials({ dataDir, adminToken: null })
  assert.deepEqual(second.made, [])
  assert.equal(second.credentials.adminToken.reveal(), first.credentials.adminToken.reveal())
  assert.equal(readCredentials({ dataDir, adminToken: null })?.agentKey.reveal(), first.credentials.agentKey.reveal())
})

test('an admin token from the environment wins and is not written down', t => {
  const dataDir = directory(t)
  const given = openCredentials({ dataDir, adminToken: new Secret('from-outside') })
  assert.equal(given.credentials.adminToken.reveal(), 'from-outside')
  assert.deepEqual(given.made, ['agentKey'])
  assert.ok(!fs.readFileSync(path.join(dataDir, 'credentials.json'), 'utf8').includes('from-outside'))
  const later = openCredentials({ dataDir, adminToken: null })
  assert.deepEqual(later.made, ['adminToken'])
  assert.equal(stored(dataDir).adminToken, later.credentials.adminToken.reveal())
})

test('processes that start together on a new directory agree', async t => {
  const dataDir = directory(t)
  const module = path.join(import.meta.dirname, '../../services/io/keys/credentials.ts')
  const script = `import { openCredentials } from ${JSON.stringify(module)}
    console.log(openCredentials({ dataDir: ${JSON.stringify(dataDir)}, adminToken: null }).credentials.adminToken.reveal())`
  const run = promisify(execFile)
  const told = await Promise.all([1, 2, 3].map(() => run(process.execPath, ['--input-type=module', '-e', script])))
  assert.equal(new Set(told.map(({ stdout }) => stdout)).size, 1)
  assert.deepEqual(fs.readdirSync(dataDir), ['credentials.json'])
})

test('a file that holds something else is told by name and left as it is', t => {
  const dataDir = directory(t)
  fs.mkdirSync(dataDir)
  fs.writeFileSync(path.join(dataDir, 'credentials.json'), '{"agentKey": 3}')
  assert.throws(() => openCredentials({ dataDir, adminToken: null }), /credentials\.json does not hold credentials/)
})

test('credentials never print', t => {
  const { credentials } = openCredentials({ dataDir: directory(t), adminToken: null })
  assert.ok(!inspect(credentials, { depth: 9 }).includes('slk_') && !JSON.stringify(credentials).includes('sla_'))
})
