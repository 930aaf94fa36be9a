import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Secret } from '../../schemas/secret.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { openLogger } from '../../services/io/logger.ts'
import { readable } from '../../services/io/logger-readable.ts'

function logged(secrets: readonly Secret[] = []) {
  const lines: string[] = []
  const { logger } = openLogger({ name: 'gateway', level: 'info', secrets, write: line => void lines.push(line) })
  return { logger, lines }
}

test('no key is in a line of the log, however it got there', () => {
  const key = mintAgentKey()
  const odd = 'pass"word\\1'
  const { logger, lines } = logged([new Secret(odd)])
  logger.info({ headers: { authorization: `Bearer ${key}`, 'x-api-key': key } }, 'a')
  logger.info({ request: { headers: { 'x-goog-api-key': 'AIzaSyD-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa' } } }, 'b')
  logger.warn(`in a text: ${key} and /v1beta/models?key=${key}&alt=sse`)
  logger.error({ err: new Error(`cannot reach it with sk-ant-api03-abcdefghijklmnop and ${odd}`) }, 'c')
  logger.info({ deep: { er: { still: { authorization: 'Basic dXNlcjpwYXNz' } } }, url: 'http://x/?key=abc' }, 'd')
  logger.info({ apiKey: 'plain', secret: new Secret('hidden-one') }, `Bearer ${'t'.repeat(30)}`)
  const token = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJsZWFkIn0.c2lnbmF0dXJl'
  logger.warn(
    { form: `subject_token=other-key&actor_token=${token}`, access_token: token },
    `with ${token}, as it came`,
  )
  const all = lines.join('')
  for (const leak of [
    key,
    'eyJ',
    'c2ln',
    'other-key',
    key.split('_')[2]!,
    'AIza',
    'sk-ant',
    'pass\\"word',
    'dXNl',
    '=abc',
    'plain',
    'hidden-one',
    'ttt',
  ])
    assert.ok(!all.includes(leak), leak)
  assert.equal(lines.length, 7)
  for (const line of lines) assert.equal(typeof JSON.parse(line), 'object')
  assert.ok(all.includes(`${key.split('_').slice(0, 2).join('_')}_[secret]`), 'the id of a key may be seen')
})

test('a line says level, time, role and message, and is easy on the eyes in a terminal', () => {
  const { logger, lines } = logged()
  logger.info({ port: 7070 }, 'listening')
  const entry = JSON.parse(lines[0]!)
  assert.deepEqual([entry.level, entry.role, entry.msg, entry.port], ['info', 'gateway', 'listening', 7070])
  assert.match(readable(lines[0]!), /^\d\d:\d\d:\d\d\.\d{3} INFO {2}gateway: listening port=7070\n$/)
  assert.equal(readable('not json\n'), 'not json\n')
})
