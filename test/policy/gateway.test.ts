import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stringify } from 'yaml'
import type { Event } from '../../schemas/events.ts'
import { parseConfig } from '../../services/io/config/config.ts'
import { createKey, hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { at, send, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

/** "Within a second" is the promise; what it takes is some milliseconds. */
const soonMs = 1_000

const hash = (key: string) => `sha256:${hashOfKey(key)}`

async function apply(gateway: TestGateway, policy: Record<string, unknown>, also: Record<string, unknown> = {}) {
  const { objects } = parseConfig(stringify(policy), null, {})
  const answer = await send(`${gateway.url}/admin/policy`, {
    headers: { authorization: `Bearer ${gateway.adminToken}` },
    body: JSON.stringify({ objects: Object.fromEntries(objects), ...also }),
  })
  return { status: answer.status, json: JSON.parse(answer.text) as unknown, text: answer.text }
}

const call = (gateway: TestGateway, key: string, model = 'simulator', content = 'Hello') =>
  send(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ model, messages: [{ role: 'user', content }] }),
  })

const statusOf = async (gateway: TestGateway, key: string, model?: string) => (await call(gateway, key, model)).status

test('keys, model lists and budgets of a running gateway are what was applied within a second', async t => {
  const gateway = await startTestGateway(t)
  const [key, other] = [mintAgentKey(), mintAgentKey()]
  const tester = { keys: [hash(gateway.key)] }
  assert.equal(await statusOf(gateway, key), 401)

  const first = await apply(gateway, { agents: { tester, writer: { team: 'words', keys: [hash(key)] } } })
  assert.equal(first.status, 200, first.text)
  // The answer comes when this gateway goes by it.
  assert.equal(await statusOf(gateway, key), 200)

  const since = performance.now()
  const second = await apply(gateway, {
    agents: { tester, writer: { team: 'words', keys: [hash(other)], models: { allow: ['claude-*'] } } },
    teams: { words: { budgets: [{ limitUsd: 3, window: '1d' }] } },
  })
  assert.equal(await statusOf(gateway, key), 401)
  const refused = await call(gateway, other)
  assert.equal(refused.status, 403)
  assert.equal(at(JSON.parse(refused.text), 'error', 'code'), 'model_not_allowed')
  assert.ok(performance.now() - since < soonMs)
  assert.equal(await statusOf(gateway, gateway.key), 200)

  const versions = [first, second].map(({ json }) => at(json, 'policyVersion'))
  const named = (event: Event) => ('policy_version' in event ? event.policy_version : undefined)
  const facts = await gateway.facts(events => events.filter(({ type }) => type === 'llm.completed').length >= 2)
  assert.deepEqual(
    facts.filter(({ type }) => type === 'admission.granted').map(named),
    versions,
    'each call names the policy that let it pass',
  )
  assert.deepEqual(facts.filter(event => event.type === 'admission.refused' && event.agent === 'writer').map(named), [
    versions[1],
  ])
})

test('a run that nobody goes on with ends by the idle time that was applied, and is remembered by it', async t => {
  const gateway = await startTestGateway(t)
  const ask = async (messages: readonly object[]) => {
    const body = JSON.stringify({ model: 'simulator', messages })
    const headers = { authorization: `Bearer ${gateway.key}` }
    const { text, headers: told } = await send(`${gateway.url}/v1/chat/completions`, { headers, body })
    return { run: told['x-sluice-run-id'], said: at(JSON.parse(text), 'choices', 0, 'message') as object }
  }
  const isOver = async (run: unknown) =>
    (await gateway.facts()).some(event => event.type === 'run.finished' && event.run_id === run)
  const idle = (idleTimeoutMs: number) =>
    apply(gateway, { agents: { tester: { keys: [hash(gateway.key)] } }, runs: { defaults: { idleTimeoutMs } } })
  const [hello, goOn] = ['Hello', 'Go on'].map(content => ({ role: 'user', content }))
  assert.ok(hello !== undefined && goOn !== undefined)

  const first = await ask([hello])
  assert.equal(await isOver(first.run), false)
  await idle(1)
  await until('the end of the run', () => isOver(first.run), 3_000)
  assert.notEqual((await ask([hello, first.said, goOn])).run, first.run)

  await idle(60_000)
  const second = await ask([hello])
  assert.equal((await ask([hello, second.said, goOn])).run, second.run)
})

test('an agent that was removed is refused, by a listed key and by an issued one, until it is there again', async t => {
  const gateway = await startTestGateway(t)
  const listed = mintAgentKey()
  const issued = (await createKey(gateway.log, 'writer')).key
  const stranger = (await createKey(gateway.log, 'stranger')).key
  const tester = { keys: [hash(gateway.key)] }
  const writer = { keys: [hash(listed)] }
  await apply(gateway, { agents: { tester, writer } })
  await until('the issued key', async () => (await statusOf(gateway, issued)) === 200, soonMs)
  assert.equal(await statusOf(gateway, listed), 200)

  await apply(gateway, { agents: { tester } })
  assert.equal(await statusOf(gateway, listed), 401)
  assert.equal(await statusOf(gateway, issued), 401)
  assert.equal(await statusOf(gateway, stranger), 200, 'who was in no policy is not removed from it')

  await apply(gateway, { agents: { tester, writer } })
  assert.equal(await statusOf(gateway, issued), 200)
})

test('a call in flight ends under the policy that it began under', async t => {
  const gateway = await startTestGateway(t)
  const streaming = send(`${gateway.url}/v1/chat/completions`, {
    headers: { authorization: `Bearer ${gateway.key}` },
    body: JSON.stringify({
      model: 'simulator',
      stream: true,
      messages: [{ role: 'user', content: 'Tell me a story. '.repeat(200) }],
    }),
  })
  await gateway.facts(events => events.some(({ type }) => type === 'admission.granted'))
  const { json } = await apply(gateway, { agents: {} })
  assert.equal(await statusOf(gateway, gateway.key), 401)
  const answer = await streaming
  assert.equal(answer.status, 200)
  assert.match(answer.text, /\[DONE\]/)
  const facts = await gateway.facts(events => events.some(({ type }) => type === 'llm.completed'))
  const completed = facts.find(event => event.type === 'llm.completed')
  assert.ok(completed?.type === 'llm.completed')
  assert.equal(completed.outcome, 'success')
  assert.notEqual(completed.policy_version, at(json, 'policyVersion'))
})

test('a restart keeps what was applied, whatever its file says, and says where they differ', async t => {
  const gateway = await startTestGateway(t)
  const key = mintAgentKey()
  await apply(gateway, { agents: { writer: { keys: [hash(key)] } } })
  await gateway.close()
  const logged: string[] = []
  const again = await startTestGateway(t, { dataDir: gateway.dataDir, key: gateway.key, logged })
  assert.equal(await statusOf(again, key), 200)
  assert.equal(await statusOf(again, again.key), 401, 'the file lists it, what was applied does not')
  assert.ok(logged.some(line => line.includes('is in force, as it was applied')))
})

test('a policy that is none changes nothing', async t => {
  const gateway = await startTestGateway(t)
  const tester = { keys: [hash(gateway.key)] }
  const first = await apply(gateway, { agents: { tester } })
  const admin = { authorization: `Bearer ${gateway.adminToken}` }
  const bad: readonly unknown[] = [
    null,
    [],
    {},
    { objects: [] },
    { objects: { 'agent:x': { budgts: [] } } },
    { objects: { 'agent:x': { budgets: [{ limitUsd: -1 }] } } },
    { objects: { 'agent:x': null } },
    { objects: { 'agent:': {} } },
    { objects: { 'agent:two words': {} } },
    { objects: { providers: { openai: { apiKey: 'sk-secret' } } } },
    { objects: { routes: [{ models: ['a'] }] } },
    { objects: { 'agent:a': { keys: [hash('k')] }, 'agent:b': { keys: [hash('k')] } } },
    { objects: {}, policy: 1 },
  ]
  for (const body of bad) {
    const text = JSON.stringify(body)
    const answer = await send(`${gateway.url}/admin/policy`, { headers: admin, body: text })
    assert.equal(answer.status, 400, text)
    assert.equal(at(JSON.parse(answer.text), 'error', 'code'), 'invalid_request', text)
  }
  assert.equal((await send(`${gateway.url}/admin/policy`, { body: '{"objects":{}}' })).status, 401)
  const dry = await apply(gateway, { agents: {} }, { dryRun: true })
  assert.deepEqual(at(dry.json, 'changes'), [{ object: 'agent:tester', change: 'removed' }])
  assert.equal(await statusOf(gateway, gateway.key), 200)
  const now = await send(`${gateway.url}/admin/policy`, { headers: admin })
  assert.equal(at(JSON.parse(now.text), 'policyVersion'), at(first.json, 'policyVersion'))
  assert.deepEqual(at(JSON.parse(now.text), 'objects'), { 'agent:tester': tester })
})

test('a route to a provider that this gateway does not have leads to the others, or nowhere', async t => {
  const gateway = await startTestGateway(t)
  const tester = { keys: [hash(gateway.key)] }
  const target = (provider: string) => ({ provider, model: 'simulator' })
  const routes = [
    { models: ['both'], targets: [target('elsewhere'), target('simulator')] },
    { models: ['only'], targets: [target('elsewhere')] },
  ]
  const { status } = await send(`${gateway.url}/admin/policy`, {
    headers: { authorization: `Bearer ${gateway.adminToken}` },
    body: JSON.stringify({ objects: { 'agent:tester': tester, routes } }),
  })
  assert.equal(status, 200)
  assert.equal(await statusOf(gateway, gateway.key, 'both'), 200)
  assert.equal(await statusOf(gateway, gateway.key, 'only'), 400)
})
