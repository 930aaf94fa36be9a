import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Event } from '../../schemas/events.ts'
import { allDoors, type DoorSample, doors } from '../support/doors.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { answerHonestly } from '../support/upstream-lies.ts'

/** A door's own body with one thing changed in its text. */
type Body = string | Buffer | ((door: DoorSample) => string | Buffer)
const plain = (door: DoorSample) => door.body(false)
/** Members put before the others. */
const withMembers = (text: string) => (door: DoorSample) => plain(door).replace('{', `{${text},`)
const without = (key: string) => (door: DoorSample) => {
  const { [key]: _gone, ...rest } = JSON.parse(plain(door)) as Record<string, unknown>
  return JSON.stringify(rest)
}
const instead = (key: string, value: unknown) => (door: DoorSample) =>
  JSON.stringify({ ...(JSON.parse(plain(door)) as object), [key]: value })
const raw = (key: string, json: string) => (door: DoorSample) =>
  without(key)(door)
    .replace('{', `{${JSON.stringify(key)}:${json},`)
    .replace(',}', '}')
const nested = (open: string, inner: string, close: string) => open.repeat(100_000) + inner + close.repeat(100_000)
const limitOf = (door: DoorSample) =>
  door.name === 'responses' ? 'max_output_tokens' : door.name === 'gemini' ? null : 'max_tokens'

type Bad = {
  readonly what: string
  readonly body: Body
  readonly headers?: Record<string, string>
  /** What the refusal says; null where the body passes as it is, for it is the provider's to judge. */
  readonly says: RegExp | null
  readonly not?: readonly string[]
}
const notGemini = ['gemini'] // its model stands in the path

const bads: readonly Bad[] = [
  { what: 'is empty', body: '', says: /no body/ },
  { what: 'is white space', body: ' \n', says: /not valid JSON/ },
  { what: 'is cut off', body: door => plain(door).slice(0, -5), says: /not valid JSON/ },
  { what: 'goes on behind its end', body: door => `${plain(door)}{}`, says: /not valid JSON/ },
  {
    what: 'is a form',
    body: 'model=made-up&stream=true',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    says: /not valid JSON/,
  },
  {
    what: 'is compressed',
    body: door => gzipSync(plain(door)),
    headers: { 'content-encoding': 'gzip' },
    says: /UTF-8/,
  },
  { what: 'is JSON that says it is text', body: plain, headers: { 'content-type': 'text/plain' }, says: null },
  { what: 'says nothing of its type', body: plain, headers: { 'content-type': '' }, says: null },
  { what: 'is no UTF-8', body: door => Buffer.from(plain(door).replace('hi', 'h\xff\xfe'), 'latin1'), says: /UTF-8/ },
  {
    what: 'cuts a character in two',
    body: door => Buffer.concat([Buffer.from(plain(door)), Buffer.from([0xe2, 0x82])]),
    says: /UTF-8/,
  },
  { what: 'is UTF-16', body: door => Buffer.from(plain(door), 'utf16le'), says: /not valid JSON|UTF-8/ },
  { what: 'has half a surrogate, escaped', body: door => plain(door).replace('hi', '\\ud800'), says: null },
  { what: 'nests arrays', body: nested('[', '', ']'), says: /nests deeper/ },
  { what: 'nests arrays without an end', body: '['.repeat(100_000), says: /nests deeper/ },
  { what: 'nests objects', body: nested('{"a":', '1', '}'), says: /nests deeper/ },
  {
    what: 'nests in a member nobody reads',
    body: withMembers(`"metadata":${nested('[', '', ']')}`),
    says: /nests deeper/,
  },
  { what: 'has brackets in a text only', body: door => plain(door).replace('hi', '[{'.repeat(50_000)), says: null },
  {
    what: 'has brackets behind an escaped quote',
    body: door => plain(door).replace('hi', `\\"${'['.repeat(1_000)}\\\\`),
    says: null,
  },
  ...['null', 'true', '1', '"made-up"', '[]', '[{}]'].map(body => ({
    what: `is ${body}`,
    body,
    says: /must be a JSON object/,
  })),
  { what: 'names the model twice', body: withMembers('"model":"other"'), says: /"model" stands twice/, not: notGemini },
  {
    what: 'names the model twice, once escaped',
    body: withMembers('"mod\\u0065l":"other"'),
    says: /"model" stands twice/,
    not: notGemini,
  },
  {
    what: 'streams and does not',
    body: withMembers('"stream":true,"stream":false'),
    says: /"stream" stands twice/,
    not: notGemini,
  },
  { what: 'names no model', body: without('model'), says: /name a "model"/, not: notGemini },
  ...[null, '', 7, true, [], {}, ['made-up']].map(value => ({
    what: `names ${JSON.stringify(value)} as its model`,
    body: instead('model', value),
    says: /name a "model"/,
    not: notGemini,
  })),
  { what: 'names an endless model', body: instead('model', 'm'.repeat(10_000)), says: /too long/, not: notGemini },
  { what: 'names an unknown model', body: instead('model', 'unknown'), says: null, not: notGemini },
  ...['"true"', '1', '{}', '[]'].map(json => ({
    what: `streams ${json}`,
    body: raw('stream', json),
    says: /"stream" must be/,
    not: notGemini,
  })),
  ...['"5"', '{}', '[]', 'true', '1.5', '1e999', '-1e999'].map(json => ({
    what: `limits itself to ${json}`,
    body: (door: DoorSample) => raw(limitOf(door) ?? '', json)(door),
    says: /must be a whole number/,
    not: notGemini,
  })),
  ...['-5', '1e308', '123456789012345678901234567890', 'null'].map(json => ({
    what: `limits itself to ${json}`,
    body: (door: DoorSample) => raw(limitOf(door) ?? '', json)(door),
    says: null,
    not: notGemini,
  })),
  {
    what: 'pollutes a prototype',
    body: withMembers(
      '"__proto__":{"model":"x","stream":true,"polluted":1},"constructor":{"prototype":{"polluted":1}}',
    ),
    says: null,
  },
  {
    what: 'hides its model in a prototype',
    body: (door: DoorSample) => without('model')(door).replace('{', '{"__proto__":{"model":"made-up"},'),
    says: /name a "model"/,
    not: notGemini,
  },
  ...[
    'null',
    '5',
    '"x"',
    '{}',
    '[null,5,"x",[],{}]',
    '[{"role":5,"content":[null,{"type":5,"text":{}}],"tool_calls":"x"}]',
  ].flatMap(json =>
    ['messages', 'input', 'contents', 'system', 'tools'].map(key => ({
      what: `says ${json} where its ${key} should be`,
      body: raw(key, json),
      says: null,
    })),
  ),
]

test('a body that cannot be served is refused with a reason, and every other passes byte for byte', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const logged: string[] = []
  // The only provider of its protocol is asked for any model.
  const gateway = await startTestGateway(t, { logged, config: allDoors(up.origin) })
  answerHonestly(up)
  let [passed, refused] = [0, 0]
  for (const bad of bads)
    await Promise.all(
      doors.map(async door => {
        if (bad.not?.includes(door.name)) return
        const where = `${door.name}: a body that ${bad.what}`
        const body = typeof bad.body === 'function' ? bad.body(door) : bad.body
        const headers = { 'x-api-key': gateway.key, ...bad.headers, 'x-test': `${refused + passed} ${door.name}` }
        const answer = await send(gateway.url + door.path(false), { method: 'POST', body, headers })
        if (bad.says === null) {
          passed++
          assert.equal(answer.status, 200, `${where}: ${answer.text.slice(0, 300)}`)
          const arrived = up.arrived.find(one => one.header('x-test') === headers['x-test'])
          assert.ok(arrived?.body.equals(Buffer.from(body)), where)
          return
        }
        refused++
        assert.equal(answer.status, 400, `${where}: ${answer.text.slice(0, 300)}`)
        assert.equal(answer.headers['x-should-retry'], 'false', where)
        const shaped: unknown = JSON.parse(answer.text)
        assert.ok(
          door.ownShape(shaped) && door.codeIn(shaped) === 'invalid_request',
          `${where}: ${answer.text.slice(0, 300)}`,
        )
        assert.match(answer.text.replaceAll('\\"', '"'), bad.says, where)
      }),
    )
  assert.equal(({} as { polluted?: unknown }).polluted, undefined)
  const count = (events: readonly Event[], type: Event['type']) => events.filter(event => event.type === type).length
  const events = await gateway.facts(
    events => count(events, 'llm.completed') + count(events, 'admission.refused') >= passed + refused,
  )
  assert.deepEqual([count(events, 'llm.completed'), count(events, 'admission.refused')], [passed, refused])
  assert.ok(!JSON.stringify(events).includes(gateway.key))
  assert.deepEqual(logged, [])
})
