// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the configuration look like this
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { send } from '../support/gateway.ts'
import { cli, spawnStack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'

const call = async (url: string, key: string) =>
  (
    await send(`${url}/v1/chat/completions`, {
      headers: { authorization: `Bearer ${key}` },
      body: JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'Hello' }] }),
    })
  ).status

test('sluice apply changes a running gateway at once, and one that does not run for its next start', async t => {
  const [key, later] = [mintAgentKey(), mintAgentKey()]
  const policy = (...keys: readonly string[]) =>
    `providers: { openai: { apiKey: "\${OPENAI_API_KEY}" } }
agents:
  writer: { keys: [${keys.map(key => `"sha256:${hashOfKey(key)}"`).join(', ')}] }
`
  const stack = await startStack({ roles: ['gateway'], config: 'payloads: { capture: full }\n' })
  t.after(() => stack.close())
  const file = path.join(stack.dataDir, 'policy.yaml')
  const apply = (...args: readonly string[]) => stack.cli('apply', '-f', file, ...args)
  const url = stack.told('Gateway')
  const { agentKey } = stack.credentials()

  assert.equal((await stack.cli('apply')).code, 2)
  assert.match((await apply()).stderr, /policy\.yaml cannot be read/)
  fs.writeFileSync(file, 'agents:\n  writer:\n    budgets: [{ limitUsd: free }]\n')
  const bad = await apply()
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /policy\.yaml:3:27: agents\.writer\.budgets\[0\]\.limitUsd: expected a number, got text\n$/)
  assert.equal(bad.stdout, '')

  fs.writeFileSync(file, policy(key))
  const dry = await apply('--dry-run')
  assert.match(dry.stdout, /^object +change\nagent:writer +added\nIt would be Policy 1-[0-9a-f]{12}\.\n$/)
  assert.equal(await call(url, key), 401)
  // No provider key is in this environment: what is published has none.
  const first = await apply()
  assert.equal(first.code, 0, first.stderr)
  assert.match(first.stdout, /^object +change\nagent:writer +added\nPolicy 1-[0-9a-f]{12} is in force\.\n$/)
  assert.equal(await call(url, key), 200)
  assert.equal(await call(url, agentKey), 200, 'the key of the quick start is this machine’s, not the policy’s')
  const again = await apply('--json')
  assert.deepEqual(JSON.parse(again.stdout).changes, [])

  assert.equal(await stack.stop(), 0)
  fs.writeFileSync(file, policy(key, later))
  const stopped = await cli(stack.env, ['apply', '-f', file])
  assert.equal(stopped.code, 0, stopped.stderr)
  assert.match(stopped.stdout, /agent:writer +changed\nPolicy 2-[0-9a-f]{12} is written;/)
  const next = spawnStack({ roles: ['gateway'], env: { ...stack.env } })
  t.after(() => next.close())
  await until('the banner', () => next.stdout().includes('Ctrl-C'), 30_000)
  assert.equal(await call(next.told('Gateway'), later), 200)
  assert.match(next.told('Policy'), /^2-[0-9a-f]{12}$/)
  assert.match(next.stderr() + next.stdout(), /policy 2-[0-9a-f]{12} is in force, as it was applied/)
  assert.match(next.stderr() + next.stdout(), /given\.yaml says otherwise of agent:writer, payloads/)
})
