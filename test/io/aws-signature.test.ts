import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { test } from 'node:test'
import { Secret } from '../../schemas/secret.ts'
import { openSigner, type Signable } from '../../services/io/aws-signature.ts'

const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const credentials = {
  accessKeyId: new Secret('AKIDEXAMPLE'),
  secretAccessKey: new Secret(secretAccessKey),
  sessionToken: null,
}
const now = () => new Date('2026-03-04T05:06:07Z')
const region = 'eu-central-1'
const sign = openSigner({ credentials, region, service: 'bedrock', now })

const request = (change: Partial<Signable> = {}): Signable => ({
  method: 'POST',
  origin: 'https://bedrock-runtime.eu-central-1.amazonaws.com',
  path: '/model/anthropic.claude-v2/converse',
  headers: ['Content-Type', 'application/json', 'x-amz-user-agent', 'sdk  1', 'traceparent', '00-1-2-00'],
  body: Buffer.from('{"messages":[]}'),
  ...change,
})

const headerIn = (headers: readonly string[], name: string) =>
  headers.find((_value, at) => at % 2 === 1 && headers[at - 1]?.toLowerCase() === name) ?? ''

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: string | Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The signature as AWS computes it from what has arrived, by the letter of its documentation. */
function signatureOf(
  { method, origin, path, body }: Signable,
  headers: readonly string[],
  canonicalPath: string,
): string {
  const authorization = headerIn(headers, 'authorization')
  const names = /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? []
  const signedValue = (name: string) => (name === 'host' ? new URL(origin).host : headerIn(headers, name))
  const canonical = [
    method,
    canonicalPath,
    path.split('?')[1] ?? '',
    ...names.map(name => `${name}:${signedValue(name).trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    sha256(body ?? ''),
  ].join('\n')
  const time = headerIn(headers, 'x-amz-date')
  const scope = `${time.slice(0, 8)}/${region}/bedrock/aws4_request`
  const key = scope.split('/').reduce<string | Buffer>((key, part) => hmac(key, part), `AWS4${secretAccessKey}`)
  return hmac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`).toString('hex')
}

test('a signature is the one that AWS computes from what arrives, however the model’s name is written', async () => {
  for (const [path, canonicalPath] of [
    ['/model/anthropic.claude-v2/converse', '/model/anthropic.claude-v2/converse'],
    ['/model/us.anthropic.claude-v1%3A0/converse-stream', '/model/us.anthropic.claude-v1%253A0/converse-stream'],
    ['/model/anthropic.claude-v2:1/invoke', '/model/anthropic.claude-v2%3A1/invoke'],
    ['/model/arn%3Aaws%3Abedrock%3Ax%2Fy/invoke', '/model/arn%253Aaws%253Abedrock%253Ax%252Fy/invoke'],
    ['/model/m/converse?a=1&b=x%20y', '/model/m/converse'],
  ] as const)
    for (const body of [Buffer.from('{"messages":[]}'), Buffer.from('ü'.repeat(70_000)), null]) {
      const asked = request({ path, body })
      const headers = await sign(asked)
      const authorization = headerIn(headers, 'authorization')
      assert.match(
        authorization,
        /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260304\/eu-central-1\/bedrock\/aws4_request/,
      )
      assert.ok(authorization.endsWith(`Signature=${signatureOf(asked, headers, canonicalPath)}`), path)
      assert.equal(headerIn(headers, 'x-amz-date'), '20260304T050607Z')
    }
})

test('what belongs to AWS is signed, what may change on its way is not, and nothing is sent twice', async () => {
  const asked = request({ origin: 'http://127.0.0.1:8080' })
  const headers = await sign(asked)
  assert.match(
    headerIn(headers, 'authorization'),
    /SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-user-agent,/,
  )
  assert.ok(headerIn(headers, 'authorization').endsWith(signatureOf(asked, headers, asked.path)), 'the port is signed')
  assert.equal(headerIn(headers, 'traceparent'), '00-1-2-00')
  const names = headers.filter((_name, at) => at % 2 === 0).map(name => name.toLowerCase())
  assert.equal(new Set(names).size, names.length)
  assert.ok(!names.includes('host'))
})

test('credentials that pass have their token beside the signature', async () => {
  const passing = { ...credentials, sessionToken: new Secret('token-of-a-role') }
  const headers = await openSigner({ credentials: passing, region, service: 'bedrock', now })(request())
  assert.equal(headerIn(headers, 'x-amz-security-token'), 'token-of-a-role')
  assert.match(headerIn(headers, 'authorization'), /;x-amz-security-token/)
})
