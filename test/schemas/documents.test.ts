import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import packageJson from '../../package.json' with { type: 'json' }
import { asyncApi, messageSchemas } from '../../schemas/documents.ts'
import { decode, type Event, encode } from '../../schemas/events.ts'

const root = path.join(import.meta.dirname, '../..')
const read = (file: string): unknown => JSON.parse(fs.readFileSync(path.join(root, file), 'utf8'))
const ajv = () => formats.default(new Ajv({ strict: false, allErrors: true, logger: false }))

test('the AsyncAPI document is a valid AsyncAPI 3.0 document', () => {
  const check = ajv().compile(read('node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json') as object)
  assert.ok(check(asyncApi(packageJson.version)), JSON.stringify(check.errors?.slice(0, 3)))
})

test('the committed documents are what the vocabulary says today', () => {
  const again = 'stale: run `npm run schemas`'
  assert.deepEqual(
    read('schemas/generated/asyncapi.json'),
    JSON.parse(JSON.stringify(asyncApi(packageJson.version))),
    again,
  )
  const { definitions } = read('schemas/generated/messages.schema.json') as { definitions: unknown }
  assert.deepEqual(definitions, JSON.parse(JSON.stringify(Object.fromEntries(messageSchemas()))), again)
})

test('every message has a JSON Schema that takes its example and refuses an empty one', () => {
  const examples = new Map(events().map(event => [event.type, event]))
  for (const [type, schema] of messageSchemas()) {
    const check = ajv().compile(schema)
    if (/^(key|signer|policy|alert|signal)\./.test(type)) continue
    const example = examples.get(type as Event['type'])
    assert.ok(example, `test/golden/events.jsonl has no example of ${type}`)
    const { id, source, time, type: _, ...body } = example
    assert.ok(check(body), `${type}: ${JSON.stringify(check.errors)}`)
    assert.ok(!check({}), `${type} takes an empty body`)
  }
})

test('an event of any earlier day still parses', () => {
  for (const event of events()) {
    const read = decode(encode(event, event.root_run_id))
    assert.ok('event' in read, `${event.type}: ${'unreadable' in read ? read.unreadable : ''}`)
    assert.deepEqual(read.event, event)
  }
})

/** Examples are only ever added to: each is a promise to whoever keeps old logs. */
function events(): readonly Event[] {
  const lines = fs.readFileSync(path.join(root, 'test/golden/events.jsonl'), 'utf8').trim().split('\n')
  return lines.map(line => JSON.parse(line) as Event)
}
