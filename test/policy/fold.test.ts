import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import type { PolicyFact } from '../../schemas/config-fact.ts'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { budgetsOf } from '../../services/core/money/caps.ts'
import { parseConfig } from '../../services/io/config/config.ts'
import { createKey } from '../../services/io/keys/keys.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { publishPolicy } from '../../services/io/policy/facts.ts'
import { followPolicy } from '../../services/io/policy/follow.ts'
import { until } from '../support/until.ts'

const config = (text: string, env: Record<string, string> = {}) => parseConfig(text, null, env)
const actor = 'test'

function open(t: TestContext): EventLog {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-policy-'))
  const log = openFileLog({ dir })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
  return log
}

const researcher = (usd: number) => `agents: { researcher: { team: research, budgets: [{ limitUsd: ${usd} }] } }`

test('what is applied holds instead of the file, all of it, and tells what it changed', async t => {
  const log = open(t)
  const start = config(`${researcher(1)}\npayloads: { capture: full }\nlimits: { callsInFlight: 7 }`)
  const seen: string[] = []
  const live = followPolicy(log, start, { changed: now => seen.push(now.policyVersion) })
  t.after(() => live.close())
  await live.caughtUp
  assert.equal(live.config(), start)

  const first = await publishPolicy(log, config(`${researcher(2)}\nteams: { research: {} }`).objects, { actor })
  assert.equal(first.number, 1)
  assert.match(first.policyVersion ?? '', /^1-[0-9a-f]{12}$/)
  assert.deepEqual(
    first.changes.map(({ object, change }) => `${object} ${change}`),
    ['agent:researcher added', 'team:research added'],
  )
  await live.reached(1)
  const held = live.config()
  assert.equal(held.policyVersion, first.policyVersion)
  assert.equal(budgetsOf(held, 'agent:researcher')?.[0]?.limitNanoUsd, 2e9)
  assert.equal(held.payloads.capture, 'preview', 'a section that is not in what was applied has its defaults')
  assert.equal(held.limits.callsInFlight, 7, 'how a process runs itself is its own')

  const second = await publishPolicy(log, config('agents: { writer: {} }\npayloads: { capture: none }').objects, {
    actor,
  })
  assert.deepEqual(
    second.changes.map(({ object, change }) => `${object} ${change}`),
    ['agent:researcher removed', 'agent:writer added', 'payloads added', 'team:research removed'],
  )
  await live.reached(2)
  assert.deepEqual([...live.config().agents.keys()], ['writer'])
  assert.equal(live.config().payloads.capture, 'none')
  assert.equal(live.removed('researcher'), true)
  assert.equal(live.removed('writer'), false)
  assert.deepEqual(seen, [first.policyVersion, second.policyVersion])
})

test('applied twice, nothing is written and nothing gets another version; order and spacing are no change', async t => {
  const log = open(t)
  const a = config('agents: { a: { team: x, keys: [] }, b: {} }\nruns: { defaults: { maxSteps: 3, maxDepth: 2 } }')
  const b = config('runs:\n  defaults:\n    maxDepth: 2\n    maxSteps: 3\nagents:\n  b: {}\n  a: { keys: [], team: x }')
  const first = await publishPolicy(log, a.objects, { actor })
  const { end } = await log.bounds({ topic: topics.config.name, partition: 0 })
  assert.deepEqual(await publishPolicy(log, b.objects, { actor }), { ...first, changes: [] })
  assert.equal((await log.bounds({ topic: topics.config.name, partition: 0 })).end, end)
})

test('a dry run tells the same and writes nothing', async t => {
  const log = open(t)
  await log.ensure([topics.config])
  const { objects } = config(researcher(2))
  const dry = await publishPolicy(log, objects, { actor, dryRun: true })
  assert.equal((await log.bounds({ topic: topics.config.name, partition: 0 })).end, 0)
  assert.deepEqual(await publishPolicy(log, objects, { actor }), dry)
})

test('no credential is ever written', async t => {
  const log = open(t)
  const secrets = { OPENAI_API_KEY: 'sk-very-secret', CRM: 'crm-very-secret', HOOK: 'hook-very-secret' }
  const { objects } = config(
    `providers: { openai: { apiKey: "\${OPENAI_API_KEY}", headers: { x-a: "\${OPENAI_API_KEY}" } } }
mcp: { servers: { crm: { url: "http://127.0.0.1/mcp", headers: { authorization: "\${CRM}" } } } }
alerts: { webhooks: [{ url: "http://127.0.0.1/\${HOOK}", secret: "\${HOOK}" }] }
routes: [{ models: [gpt], targets: [{ provider: openai }] }]`,
    secrets,
  )
  await publishPolicy(log, objects, { actor })
  const follower = log.follow(topics.config.name, {
    from: 'earliest',
    onBatch: ({ records }) => {
      for (const { value, headers } of records)
        assert.doesNotMatch(value.toString() + JSON.stringify(headers), /very-secret/)
    },
  })
  await follower.caughtUp
  await follower.close()
})

test('half of an apply holds for nobody, and the next apply does not bring the other half in', async t => {
  const log = open(t)
  await publishPolicy(log, config(researcher(1)).objects, { actor })
  const live = followPolicy(log, config(''))
  t.after(() => live.close())
  await live.caughtUp
  await tell(log, [
    { type: 'policy.defined', object: 'agent:researcher', number: 2, version: '0123456789ab', value: {} },
    { type: 'policy.defined', object: 'agent:stranger', number: 2, version: '0123456789ab', value: {} },
  ])
  const other = followPolicy(log, config(''))
  t.after(() => other.close())
  await other.caughtUp
  for (const each of [live, other]) {
    assert.equal(budgetsOf(each.config(), 'agent:researcher')?.[0]?.limitNanoUsd, 1e9)
    assert.equal(each.config().agents.has('stranger'), false)
  }
  const next = await publishPolicy(log, config(researcher(1)).objects, { actor })
  assert.equal(next.number, 3)
  await live.reached(3)
  assert.equal(budgetsOf(live.config(), 'agent:researcher')?.[0]?.limitNanoUsd, 1e9)
  assert.equal(live.config().agents.has('stranger'), false)
})

test('an object from a later version of the program leaves in force what was known of it, and never lifts a limit', async t => {
  const log = open(t)
  await publishPolicy(log, config(researcher(1)).objects, { actor })
  const sentences: string[] = []
  const live = followPolicy(log, config(''), { unreadable: sentence => sentences.push(sentence) })
  t.after(() => live.close())
  await live.caughtUp
  const value = { budgets: [], moods: ['new'] }
  await tell(log, [
    { type: 'policy.defined', object: 'agent:researcher', number: 2, version: '0123456789ab', value },
    { type: 'policy.defined', object: 'agent:novice', number: 2, version: '0123456789ab', value },
    { type: 'policy.defined', object: 'moods', number: 2, version: '0123456789ab', value: [] },
    { type: 'policy.applied', number: 2, version: '0123456789ab', objects: 3, actor },
  ])
  await live.reached(2)
  assert.equal(budgetsOf(live.config(), 'agent:researcher')?.[0]?.limitNanoUsd, 1e9)
  assert.equal(live.removed('novice'), true, 'of whom nothing is known, nothing is let through')
  assert.equal(sentences.length, 3)
})

test('an apply that was cut off is all there is of an object once compaction has taken what stood before', async t => {
  const log = open(t)
  const version = (await publishPolicy(open(t), config(researcher(1)).objects, { actor })).policyVersion?.slice(2) ?? ''
  // The first fact on the agent is gone; the later one stands behind the apply that named it.
  await tell(log, [
    { type: 'policy.applied', number: 1, version, objects: 1, actor },
    {
      type: 'policy.defined',
      object: 'agent:researcher',
      number: 2,
      version: '0123456789ab',
      value: { budgets: [{ limitUsd: 3 }] },
    },
  ])
  const live = followPolicy(log, config(''))
  t.after(() => live.close())
  await live.caughtUp
  assert.equal(budgetsOf(live.config(), 'agent:researcher')?.[0]?.limitNanoUsd, 3e9)
})

test('where the log is away, a policy begins with what it knew, and keys beside it change nothing', async t => {
  const log = open(t)
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-known-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  const file = path.join(dir, 'policy.json')
  const { policyVersion } = await publishPolicy(log, config(`${researcher(2)}\nbreakers: { loop: off }`).objects, {
    actor,
  })
  const first = followPolicy(log, config(''), { file })
  await first.caughtUp
  await first.close()

  const away: EventLog = { ...log, follow: () => ({ ...never(), close: async () => {} }) }
  let changes = 0
  const second = followPolicy(away, config(''), { file, changed: () => changes++ })
  await second.known
  assert.equal(second.config().policyVersion, policyVersion)
  assert.equal(budgetsOf(second.config(), 'agent:researcher')?.[0]?.limitNanoUsd, 2e9)
  assert.equal(second.config().breakers.loop, null)
  assert.equal(changes, 1)

  const third = followPolicy(log, config(''), { file, changed: () => changes++ })
  t.after(() => third.close())
  await third.caughtUp
  await createKey(log, 'researcher')
  await createKey(log, 'researcher')
  assert.equal(changes, 2, 'the log says what the file said')
  const before = third.config()
  await publishPolicy(log, config('').objects, { actor })
  await third.reached(2)
  assert.notEqual(third.config(), before)
  assert.deepEqual([...third.config().agents], [])
})

test('two who apply at the same time come one after the other', async t => {
  const log = open(t)
  const both = await Promise.all([1, 2, 3].map(usd => publishPolicy(log, config(researcher(usd)).objects, { actor })))
  assert.deepEqual(both.map(({ number }) => number).sort(), [1, 2, 3])
  const last = both.find(({ number }) => number === 3)
  const live = followPolicy(log, config(''))
  t.after(() => live.close())
  await live.caughtUp
  await until('the last', () => live.config().policyVersion === last?.policyVersion)
})

const never = () => {
  const promise = new Promise<void>(() => {})
  return { caughtUp: promise, ended: promise }
}

async function tell(log: EventLog, facts: readonly PolicyFact[]): Promise<void> {
  const writer = await log.writer(topics.config.name)
  for (const [i, fact] of facts.entries())
    writer.append(
      encode(
        { id: `other.1.${i}`, source: '/x', time: 1, ...fact },
        fact.type === 'policy.applied' ? 'policy' : fact.object,
      ),
    )
  await writer.close()
}
