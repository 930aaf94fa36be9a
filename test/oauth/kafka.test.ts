import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tokenIssuer } from '../../schemas/token.ts'
import { followSigners, revokeSigner } from '../../services/io/keys/signers.ts'
import { openTokenReader } from '../../services/io/keys/token-reader.ts'
import { openTokenSigner } from '../../services/io/keys/token-signer.ts'
import { broker } from '../support/broker.ts'
import { logOn } from '../support/kafka.ts'
import { until } from '../support/until.ts'
import { partsOf } from './asking.ts'

test('over Kafka what one gateway signs is verified by another, until its signer is revoked', async t => {
  const kafka = await broker(t)
  if (kafka === null) return
  const [one, other] = [logOn(kafka), logOn(kafka)]
  const [here, there] = [followSigners(one), followSigners(other)]
  t.after(() => Promise.all([here.close(), there.close()]))
  const sign = await openTokenSigner({ log: one, signers: here }).ready()
  const now = Math.floor(Date.now() / 1000)
  const fixed = { iss: tokenIssuer, aud: tokenIssuer, iat: now, exp: now + 60 } as const
  const token = sign({ ...fixed, sub: 'lead', key_id: 'k', client_id: 'lead', scope: 'model:*', jti: 'j' })
  const read = openTokenReader(there.find)
  await until('the signer', () => read(token) !== null, 1_000)
  assert.equal(await revokeSigner(other, String(partsOf(token).header['kid'])), true)
  await until('its end', () => read(token) === null && openTokenReader(here.find)(token) === null, 1_000)

  const late = followSigners(one)
  t.after(() => late.close())
  await late.caughtUp
  assert.equal(openTokenReader(late.find)(token), null)
})
