import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { test } from 'node:test'
import type { Signer } from '../../services/io/keys/signers.ts'
import { signerIdOf } from '../../services/io/keys/signers.ts'
import { openTokenReader } from '../../services/io/keys/token-reader.ts'

const now = () => Math.floor(Date.now() / 1000)
const claims = () => ({
  iss: 'sluice',
  aud: 'sluice',
  sub: 'lead',
  key_id: 'k1',
  act: { sub: 'writer' },
  client_id: 'lead',
  scope: 'model:*',
  iat: now(),
  exp: now() + 60,
  jti: 'j1',
})

function made(expiresAt = Date.now() + 60_000): { readonly signer: Signer; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return {
    signer: { id: signerIdOf(publicKey.export({ format: 'jwk' }).x ?? ''), publicKey: pem, expiresAt },
    privateKey,
  }
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
/** By hand, so that the library under test is not the one that makes what it is shown. */
function tokenOf(header: object, payload: object, signed: (input: string) => Buffer): string {
  const input = `${part(header)}.${part(payload)}`
  return `${input}.${signed(input).toString('base64url')}`
}

const ours = made()
const other = made()
const read = openTokenReader(id => [ours, other].find(({ signer }) => signer.id === id)?.signer)
const header = { alg: 'EdDSA', typ: 'at+jwt', kid: ours.signer.id }
const by =
  ({ privateKey }: ReturnType<typeof made>) =>
  (input: string) =>
    sign(null, Buffer.from(input), privateKey)
const hmac = (secret: string | Buffer) => (input: string) => createHmac('sha256', secret).update(input).digest()

test('a token of ours says what it says', () => {
  const said = claims()
  assert.deepEqual(read(tokenOf(header, said, by(ours))), said)
})

test('no forged token counts, however it is made', () => {
  const good = tokenOf(header, claims(), by(ours))
  const [head = '', body = '', signature = ''] = good.split('.')
  const raw = Buffer.from(ours.signer.publicKey.replace(/-----.*-----|\s/g, ''), 'base64')
  const forged: Readonly<Record<string, string>> = {
    'no algorithm': tokenOf({ ...header, alg: 'none' }, claims(), () => Buffer.alloc(0)),
    'no algorithm, with a signature': tokenOf({ ...header, alg: 'none' }, claims(), by(ours)),
    'no signature': `${head}.${body}.`,
    'the public key as a secret': tokenOf({ ...header, alg: 'HS256' }, claims(), hmac(ours.signer.publicKey)),
    'its bytes as a secret': tokenOf({ ...header, alg: 'HS256' }, claims(), hmac(raw)),
    'an empty secret': tokenOf({ ...header, alg: 'HS256' }, claims(), hmac('')),
    'the key of another signer': tokenOf(header, claims(), by(other)),
    'a signer that nobody knows': tokenOf({ ...header, kid: 'f'.repeat(32) }, claims(), by(ours)),
    'no signer': tokenOf({ alg: 'EdDSA', typ: 'at+jwt' }, claims(), by(ours)),
    'a signer that is no text': tokenOf({ ...header, kid: ['a'] }, claims(), by(ours)),
    'a key of its own': tokenOf({ ...header, jwk: { kty: 'OKP', crv: 'Ed25519', x: 'a' } }, claims(), by(made())),
    'other claims': `${head}.${part({ ...claims(), sub: 'boss' })}.${signature}`,
    'another header': `${part({ ...header, a: 1 })}.${body}.${signature}`,
    'what it must understand': tokenOf({ ...header, crit: ['b64'], b64: false }, claims(), by(ours)),
    'too long': tokenOf(header, { ...claims(), scope: 'x'.repeat(9_000) }, by(ours)),
    padding: `${good}=`,
    'two dots alone': '..',
    eyJ: 'eyJ',
  }
  for (const [what, token] of Object.entries(forged)) assert.equal(read(token), null, what)
})

test('what was signed for another use or another time does not count', () => {
  const wrong: readonly (readonly [string, object, object?])[] = [
    ['another form', {}, { typ: 'JWT' }],
    ['another issuer', { iss: 'https://idp.example.com' }],
    ['another audience', { aud: 'billing' }],
    ['many audiences', { aud: ['sluice', 'billing'] }],
    ['past', { exp: now() - 1 }],
    ['never ending', { exp: undefined }],
    ['not yet', { nbf: now() + 60 }],
    ['an end that is no number', { exp: 'tomorrow' }],
    ['nobody', { sub: '' }],
    ['no key', { key_id: undefined }],
    ['an actor that is none', { act: { name: 'writer' } }],
  ]
  for (const [what, said, headed] of wrong)
    assert.equal(read(tokenOf({ ...header, ...headed }, { ...claims(), ...said }, by(ours))), null, what)
})

test('a signer counts for as long as it is known', () => {
  const known = new Map([[ours.signer.id, ours.signer]])
  const reading = openTokenReader(id => known.get(id))
  const token = tokenOf(header, claims(), by(ours))
  assert.notEqual(reading(token), null)
  known.clear()
  assert.equal(reading(token), null)
})
