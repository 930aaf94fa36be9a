import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { createKey, followKeys, hashOfKey, listKeys, revokeKey } from '../../services/io/keys/keys.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { until } from '../support/until.ts'

function open(t: TestContext) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-keys-'))
  const log = openFileLog({ dir })
  t.after(async () => {
    await log.close()
    fs.rmSync(dir, { recursive: true })
  })
  return log
}

test('a view that follows knows a key when it is made and forgets it when it is revoked', async t => {
  const log = open(t)
  let changes = 0
  const view = followKeys(log, { changed: () => changes++ })
  await view.caughtUp
  changes = 0
  const { id, key } = await createKey(log, 'researcher')
  await until('the key', () => view.find(hashOfKey(key)) !== undefined)
  assert.deepEqual(view.find(hashOfKey(key)), { agent: 'researcher', keyId: id })
  assert.equal(view.find(hashOfKey(`${key}x`)), undefined)
  assert.equal((await revokeKey(log, id))?.state, 'revoked')
  await until('its end', () => view.find(hashOfKey(key)) === undefined)
  assert.equal(changes, 2)
  await view.close()
})

test('a key is revoked for good, whatever is said of it afterwards', async t => {
  const log = open(t)
  const { id, key } = await createKey(log, 'a')
  await revokeKey(log, id)
  const writer = await log.writer(topics.config.name)
  const again = {
    id: `key-${id}.0.0`,
    source: '/x',
    time: Date.now(),
    type: 'key.created',
    key_id: id,
    agent: 'a',
    hash: hashOfKey(key),
  }
  writer.append(encode(again, id))
  await writer.close()
  const view = followKeys(log)
  await view.caughtUp
  assert.equal(view.find(hashOfKey(key)), undefined)
  assert.deepEqual(
    view.rows().map(row => row.state),
    ['revoked'],
  )
  await view.close()
  // Told again, nothing new is written.
  const [first] = await listKeys(log)
  assert.deepEqual(await revokeKey(log, id), first)
})

test('other objects on the topic, and records that are none, are passed over', async t => {
  const log = open(t)
  const writer = await log.writer(topics.config.name)
  writer.append(encode({ id: 'x.0.0', source: '/x', time: 1, type: 'agent.defined' }, 'a'))
  writer.append({ key: 'k', headers: {}, value: Buffer.from('not json') })
  writer.append(encode({ id: 'x.0.1', source: '/x', time: 1, type: 'key.created' }, 'k'))
  await writer.close()
  assert.deepEqual(await listKeys(log), [])
  assert.equal(await revokeKey(log, 'nothing'), null)
  await assert.rejects(createKey(log, 'no\nname'), { code: 'invalid_agent' })
})

test('keys made at the same time wait for each other and are all there', async t => {
  const log = open(t)
  await log.ensure([topics.config])
  const made = await Promise.all(['a', 'b', 'c', 'd'].map(agent => createKey(log, agent)))
  assert.deepEqual(new Set((await listKeys(log)).map(key => key.id)), new Set(made.map(key => key.id)))
})

test('a view begins with what it knew where the log is away, and with what the log says as soon as it is there', async t => {
  const log = open(t)
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-known-')), 'keys.json')
  t.after(() => fs.rmSync(path.dirname(file), { recursive: true }))
  const [kept, revoked] = [await createKey(log, 'a'), await createKey(log, 'b')]
  await revokeKey(log, revoked.id)
  const first = followKeys(log, { file })
  await first.caughtUp
  const late = await createKey(log, 'c')
  await until('the late key', () => first.find(hashOfKey(late.key)) !== undefined)
  await first.close()
  assert.equal(fs.statSync(file).mode & 0o777, 0o600)
  assert.doesNotMatch(fs.readFileSync(file, 'utf8'), new RegExp(late.key.split('_')[2]!))

  const away: EventLog = {
    ...log,
    follow: () => {
      const [caughtUp, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const close = async () => {
        caughtUp.reject(new Error('closed'))
        ended.resolve()
      }
      return { caughtUp: caughtUp.promise, ended: ended.promise, close }
    },
  }
  const second = followKeys(away, { file })
  await second.known
  assert.deepEqual(
    [kept, revoked, late].map(({ key }) => second.find(hashOfKey(key))?.agent),
    ['a', undefined, 'c'],
  )
  assert.deepEqual(second.rows(), await listKeys(log))
  await second.close()

  // Another log: of the keys of the first nothing is left.
  const third = followKeys(open(t), { file })
  await third.caughtUp
  assert.deepEqual(third.rows(), [])
  await third.close()
  const unread = followKeys(away, { file: path.join(path.dirname(file), 'none.json') })
  assert.equal(await Promise.race([unread.known, new Promise(resolve => setImmediate(resolve, 'waits'))]), 'waits')
  await unread.close()
})
