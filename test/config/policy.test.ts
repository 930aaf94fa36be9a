// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references of the configuration look like this
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { loadConfig, parseConfig } from '../../services/io/config/config.ts'
import { Fault } from '../../services/io/fault.ts'

const example = path.join(import.meta.dirname, '../../sluice.example.yaml')
const parse = (text: string, env: Record<string, string> = {}) => parseConfig(text, path.resolve('sluice.yaml'), env)

function problems(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    parse(text, env)
    return []
  } catch (error) {
    assert.ok(error instanceof Fault && error.code === 'config_invalid')
    return error.message.split('\n')
  }
}

/** What is wrong in a file, and the whole of what is said about it. */
const mistakes: readonly (readonly [name: string, text: string, said: readonly string[]])[] = [
  ['an unknown section', 'agent: {}', ['sluice.yaml:1:1: agent: unknown key; did you mean agents?']],
  [
    'an unknown key deep inside',
    'agents:\n  researcher:\n    budgts: []',
    ['sluice.yaml:3:5: agents.researcher.budgts: unknown key; did you mean budgets?'],
  ],
  [
    'an unknown key that is near nothing',
    'payloads: { zzzzzz: 1 }',
    ['sluice.yaml:1:13: payloads.zzzzzz: unknown key; known here: capture, previewBytes'],
  ],
  [
    'a wrong type',
    'agents:\n  researcher:\n    budgets:\n      - limitUsd: "5"',
    ['sluice.yaml:4:19: agents.researcher.budgets[0].limitUsd: expected a number, got text'],
  ],
  [
    'a missing key',
    'routes: [{ models: ["gpt*"] }]',
    ['sluice.yaml:1:10: routes[0].targets: is missing; expected a list'],
  ],
  ['a section with nothing in it', 'agents:\n', ['sluice.yaml:1:8: agents: expected a table, got nothing']],
  ['a list for a table', '[]', ['sluice.yaml:1:1: expected a table, got a list']],
  [
    'an unknown word',
    'breakers: { loop: { action: stop } }',
    ['sluice.yaml:1:29: breakers.loop.action: expected one of alert, backoff, pause, kill, got "stop"'],
  ],
  [
    'a rule that is neither knobs nor off',
    'breakers: { loop: 3 }',
    ['sluice.yaml:1:19: breakers.loop: expected a table, or off'],
  ],
  [
    'a knob of a rule mistyped',
    'breakers: { loop: { repeets: 3 } }',
    ['sluice.yaml:1:21: breakers.loop.repeets: unknown key; did you mean repeats?'],
  ],
  [
    'no duration',
    'breakers: { errorRate: { window: 5 minutes } }',
    ['sluice.yaml:1:34: breakers.errorRate.window: expected a duration such as 5m, 30h, 7d or PT5M'],
  ],
  [
    'a time of day in a window of hours',
    'teams: { a: { budgets: [{ limitUsd: 1, window: 30h, resetAt: "09:00" }] } }',
    ['sluice.yaml:1:62: teams.a.budgets[0].resetAt: needs a window of whole days, such as 1d'],
  ],
  [
    'a time zone that is none',
    'teams: { a: { budgets: [{ limitUsd: 1, window: 1d, timezone: Mars/Base }] } }',
    ['sluice.yaml:1:62: teams.a.budgets[0].timezone: expected an IANA time zone such as Europe/Berlin'],
  ],
  [
    'a key that is no hash',
    'agents: { a: { keys: ["slk_1_2"] } }',
    ['sluice.yaml:1:23: agents.a.keys[0]: expected "sha256:" and the SHA-256 of the whole key in 64 hex digits'],
  ],
  [
    'a route to nobody',
    'providers: { openai: {} }\nroutes: [{ models: [a], targets: [{ provider: opnai }] }]',
    ['sluice.yaml:2:47: routes[0].targets[0].provider: no such provider; did you mean openai?'],
  ],
  [
    'a provider named like a path of ours',
    'providers: { v1: { protocol: openai, baseUrl: "http://127.0.0.1" } }',
    ['sluice.yaml:1:14: providers.v1: is a path of the gateway itself; choose another name'],
  ],
  [
    'an MCP server that is two things',
    'mcp: { servers: { a: { url: "http://127.0.0.1", command: x } } }',
    ['sluice.yaml:1:22: mcp.servers.a: expected either url or command'],
  ],
  [
    'an environment variable that is not set',
    'providers:\n  openai: { apiKey: ${NOT_THERE} }',
    ['sluice.yaml:2:21: providers.openai.apiKey: the environment variable NOT_THERE is not set'],
  ],
  [
    'a name that is a trap',
    'agents: { __proto__: {} }',
    ['sluice.yaml:1:11: agents.__proto__: is not a name that can be used'],
  ],
  ['a key told twice', 'teams: {}\nteams: {}', ['sluice.yaml:2:1: Map keys must be unique']],
  ['a second document', 'teams: {}\n---\nteams: {}', ['sluice.yaml:2:1: expected one document, here begins a second']],
  [
    'JSON with a wrong type',
    '{\n "agents": { "a": { "team": 3 } }\n}',
    ['sluice.yaml:2:29: agents.a.team: expected text, got a number'],
  ],
]
for (const [name, text, said] of mistakes)
  test(`${name} is told with file, line, path and what was expected`, () => assert.deepEqual(problems(text), said))

test('several mistakes are told at once, in the order of the file', () => {
  const told = problems('teams: 1\nagents: 2\nroutes: 3')
  assert.deepEqual(
    told.map(line => line.split(':')[1]),
    ['1', '2', '3'],
  )
})

test('the example file holds, and says all that the contract shows', () => {
  const config = loadConfig({ configFile: example }, {})
  assert.deepEqual(config.warnings, [])
  assert.deepEqual([...config.providers.keys()], ['simulator', 'openai', 'anthropic', 'gemini', 'bedrock', 'local'])
  assert.equal(config.agents.get('researcher')?.budgets[0]?.limitNanoUsd, 5_000_000_000)
  assert.equal(config.teams.get('research')?.budgets[0]?.resetAtMinute, 9 * 60)
  assert.deepEqual(config.routes[0]?.retry, { attempts: 3, baseMs: 200, maxMs: 5000 })
  assert.equal(config.breakers.errorRate?.window, 300_000)
})

test('references stand unquoted in flow style, and a colon may lack its blank', () => {
  const config = parse('providers:\n  a:{ protocol: openai, baseUrl: ${URL}, apiKey: ${KEY} }\n', {
    URL: 'http://127.0.0.1:9/v1/',
    KEY: 'k',
  })
  const provider = config.providers.get('a')
  assert.ok(provider?.kind === 'upstream')
  assert.equal(provider.baseUrl, 'http://127.0.0.1:9/v1')
  assert.equal(provider.apiKey?.reveal(), 'k')
  assert.deepEqual(problems('agents:\n  a:{ team: 3, keyz: [] }'), [
    'sluice.yaml:2:13: agents.a.team: expected text, got a number',
    'sluice.yaml:2:16: agents.a.keyz: unknown key; did you mean keys?',
  ])
})

test('a reference has a default, can be escaped, and can stand inside a text', () => {
  const headers = (text: string) => {
    const provider = parse(`providers: { openai: { headers: { x: "${text}" } } }`, { A: 'b' }).providers.get('openai')
    return provider?.kind === 'upstream' ? provider.headers.get('x')?.reveal() : null
  }
  assert.equal(headers('Bearer ${A}'), 'Bearer b')
  assert.equal(headers('${B:-other, one}'), 'other, one')
  assert.equal(headers('$${A}'), '${A}')
})

test('a secret can come from a file, relative to the configuration', t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-config-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  fs.writeFileSync(path.join(dir, 'key'), 'from-a-file\n')
  const config = parseConfig('providers: { openai: { apiKey: { file: key } } }', path.join(dir, 'sluice.yaml'), {})
  const provider = config.providers.get('openai')
  assert.equal(provider?.kind === 'upstream' && provider.apiKey?.reveal(), 'from-a-file')
  const [said] = problems('providers: { openai: { apiKey: { file: /not/there } } }')
  assert.match(said ?? '', /^sluice\.yaml:1:40: providers\.openai\.apiKey: the file cannot be read/)
})

test('a key in the environment enables its vendor without a file, and the file wins over it', () => {
  const env = { OPENAI_API_KEY: 'a', GOOGLE_API_KEY: 'b', GROQ_API_KEY: 'c', ANTHROPIC_API_KEY: '' }
  assert.deepEqual([...parse('', env).providers.keys()], ['simulator', 'openai', 'gemini', 'groq'])
  const own = parse('providers: { openai: { baseUrl: "http://127.0.0.1:1/v1" } }', env).providers.get('openai')
  assert.ok(own?.kind === 'upstream')
  assert.deepEqual([own.baseUrl, own.apiKey?.reveal()], ['http://127.0.0.1:1/v1', 'a'])
})

test('a target at a known vendor without a key is left out, and said so', () => {
  const config = parse('routes: [{ models: [a], targets: [{ provider: simulator }], fallback: [{ provider: azure }] }]')
  assert.deepEqual(config.routes[0]?.fallback, [])
  assert.match(config.warnings[0] ?? '', /routes\[0\]\.fallback\[0\]\.provider: azure has no entry/)
})

test('names like constructor are names like any other', () => {
  const config = parse('agents: { constructor: { team: toString } }')
  assert.deepEqual([...config.agents.keys()], ['constructor'])
  assert.equal(config.agents.get('toString'), undefined)
})

test('secrets never print, whatever prints them', () => {
  const config = parse('providers: { openai: { apiKey: ${KEY}, headers: { x: ${KEY} } } }', { KEY: 'very-secret' })
  const provider = config.providers.get('openai')
  assert.ok(provider?.kind === 'upstream')
  for (const shown of [inspect(config, { depth: 9 }), JSON.stringify(provider), `${provider.apiKey}`])
    assert.ok(!shown.includes('very-secret') && shown.includes('[secret]'), shown)
})

test('a wrong value that came from the environment is not repeated', () => {
  const told = problems('payloads: { capture: ${KEY} }', { KEY: 'very-secret' }).join()
  assert.match(told, /payloads\.capture: expected one of none, preview, full$/)
})

test("the policy's version changes with the policy and not with its secrets, comments or spelling", () => {
  const version = (text: string, env: Record<string, string> = {}) => parse(text, env).policyVersion
  const one = version('providers: { openai: { apiKey: ${K} } }\nagents: { a: { team: t } }', { K: '1' })
  assert.match(one, /^[0-9a-f]{12}$/)
  assert.equal(one, version('# hi\nagents:\n  a:\n    team: "t"\nproviders:\n  openai: { apiKey: "${K}" }', { K: '2' }))
  assert.notEqual(one, version('providers: { openai: { apiKey: ${K} } }\nagents: { a: { team: u } }', { K: '1' }))
})
