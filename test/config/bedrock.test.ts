import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { type Config, parseConfig, type UpstreamProvider } from '../../services/io/config/config.ts'
import { Fault } from '../../services/io/fault.ts'

const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'a-secret-of-aws' }
const parse = (text: string, env: Record<string, string>): Config => parseConfig(text, null, env)

function bedrockIn(config: Config, name = 'bedrock'): UpstreamProvider | null {
  const provider = config.providers.get(name)
  return provider?.kind === 'upstream' ? provider : null
}

test('AWS’s own variables enable Bedrock where they name a region', () => {
  assert.equal(bedrockIn(parse('', keys)), null)
  assert.equal(bedrockIn(parse('', { AWS_REGION: 'us-east-1' })), null)
  const signed = bedrockIn(parse('', { ...keys, AWS_REGION: 'us-west-2' }))
  assert.deepEqual(
    [signed?.protocol, signed?.baseUrl, signed?.region, signed?.apiKey, signed?.aws?.accessKeyId.reveal()],
    ['bedrock', 'https://bedrock-runtime.us-west-2.amazonaws.com', 'us-west-2', null, 'AKIDEXAMPLE'],
  )
  const token = { AWS_BEARER_TOKEN_BEDROCK: 'bearer-of-aws', AWS_DEFAULT_REGION: 'eu-west-1' }
  const borne = bedrockIn(parse('', { ...keys, ...token }))
  assert.deepEqual([borne?.apiKey?.reveal(), borne?.aws, borne?.region], ['bearer-of-aws', null, 'eu-west-1'])
})

test('an entry needs no more than the environment leaves open', () => {
  const file = 'providers: { bedrock: { region: eu-central-1 } }'
  assert.equal(bedrockIn(parse(file, keys))?.baseUrl, 'https://bedrock-runtime.eu-central-1.amazonaws.com')
  const address = 'https://bedrock-runtime.ap-southeast-2.amazonaws.com'
  const other = bedrockIn(
    parse(`providers: { work: { protocol: bedrock, baseUrl: "${address}" } }`, { ...keys, AWS_REGION: 'us-east-1' }),
    'work',
  )
  assert.deepEqual([other?.region, other?.aws?.secretAccessKey.reveal()], ['ap-southeast-2', 'a-secret-of-aws'])
  const own = parse('providers: { bedrock: { region: us-east-1, apiKey: mine } }', keys)
  assert.deepEqual([bedrockIn(own)?.apiKey?.reveal(), bedrockIn(own)?.aws], ['mine', null])
})

test('a signature without a region is a mistake of the file', () => {
  for (const text of ['providers: { bedrock: {} }', 'providers: { w: { protocol: bedrock, baseUrl: "http://x" } }'])
    assert.throws(
      () => parse(text, keys),
      (error: unknown) =>
        error instanceof Fault && /has no region; it may also stand in AWS_REGION/.test(error.message),
    )
})

test('AWS’s keys are secrets, and no part of the policy’s version', () => {
  const env = { ...keys, AWS_REGION: 'us-east-1', AWS_SESSION_TOKEN: 'a-token-of-aws' }
  const config = parse('', env)
  for (const told of [inspect(config, { depth: null }), JSON.stringify([...config.providers])])
    for (const secret of [keys.AWS_ACCESS_KEY_ID, keys.AWS_SECRET_ACCESS_KEY, 'a-token-of-aws'])
      assert.ok(!told.includes(secret), secret)
  assert.equal(parse('', { ...env, AWS_SECRET_ACCESS_KEY: 'another' }).policyVersion, config.policyVersion)
})
