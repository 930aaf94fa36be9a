import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type TokenClaims, tokenIssuer } from '../../schemas/token.ts'
import { topics } from '../../schemas/topics.ts'
import { followSigners } from '../../services/io/keys/signers.ts'
import { openTokenReader } from '../../services/io/keys/token-reader.ts'
import { openTokenSigner } from '../../services/io/keys/token-signer.ts'
import { openFileLog } from '../../services/io/log/file/file.ts'
import { openKafkaLog } from '../../services/io/log/kafka/kafka.ts'
import type { EventLog } from '../../services/io/log/port.ts'
import { silent } from '../support/broker.ts'
import { until } from '../support/until.ts'

const claims = (): TokenClaims => {
  const now = Math.floor(Date.now() / 1000)
  const fixed = { iss: tokenIssuer, aud: tokenIssuer } as const
  return { ...fixed, sub: 'a', key_id: 'k', client_id: 'a', scope: 'model:*', jti: 'j', iat: now, exp: now + 60 }
}

/** One life of a gateway, as far as tokens go. */
function begin(t: TestContext, log: EventLog, dir: string) {
  const signers = followSigners(log, { file: path.join(dir, 'known.json') })
  const close = async () => {
    await signers.close()
    await log.close()
  }
  t.after(close)
  return { signers, signer: openTokenSigner({ log, signers, file: path.join(dir, 'token-key.json') }), close }
}

test('a gateway that starts while nothing can be read signs and verifies with what it knew', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-signer-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const log = openFileLog({ dir: path.join(dir, 'log') })
  await log.ensure([topics.config])
  const before = begin(t, log, dir)
  const token = (await before.signer.ready())(claims())
  await until('what is kept', () => fs.existsSync(path.join(dir, 'known.json')))
  await before.close()

  // Where no broker listens.
  const away = openKafkaLog({ brokers: ['127.0.0.1:1'], clientId: 'test', log: silent })
  const { signers, signer } = begin(t, away, dir)
  await signers.known
  const read = openTokenReader(signers.find)
  assert.notEqual(read(token), null)
  assert.notEqual(read((await signer.ready())(claims())), null)
})

test('a key that cannot be told to others signs nothing', async t => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-signer-'))
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }))
  const { signer } = begin(t, openFileLog({ dir: path.join(dir, 'log'), maxBytes: 1 }), dir)
  await assert.rejects(signer.ready(), { code: 'log_unavailable', retriable: true })
})
