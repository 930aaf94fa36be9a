import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { encode } from '../../schemas/events.ts'
import { topics } from '../../schemas/topics.ts'
import { createKey, followKeys, hashOfKey, listKeys, revokeKey } from '../../services/io/keys.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
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
