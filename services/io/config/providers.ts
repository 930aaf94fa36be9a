import type { Price, ProviderEntry } from '../../../schemas/provider.ts'
import { Secret } from '../../../schemas/secret.ts'
import type { ProtocolName } from '../../../schemas/work.ts'
import type { AwsCredentials } from '../aws-signature.ts'
import { awsIn, regionFor } from './aws.ts'
import type { Environment } from './resolve.ts'
import { type ConfigText, type Problem, pathText } from './text.ts'
import { vendors } from './vendors.ts'

export type Provider = UpstreamProvider | SimulatorProvider
export type UpstreamProvider = {
  readonly kind: 'upstream'
  readonly name: string
  readonly protocol: ProtocolName
  /** Without a slash at its end. */
  readonly baseUrl: string
  readonly apiKey: Secret | null
  readonly region: string | null
  /** What requests are signed with, where there is no `apiKey` and the protocol is Bedrock's; then there is a region. */
  readonly aws: AwsCredentials | null
  readonly headers: ReadonlyMap<string, Secret>
  /** Globs of the models that this provider is asked for where no route names them; empty: none by itself. */
  readonly models: readonly string[]
  /** By glob, the first that matches counts. */
  readonly prices: ReadonlyMap<string, Price>
  /** `POST /v1/files` */
  readonly passthrough: readonly string[]
}
/** Answers by itself, on every route, in every protocol. */
export type SimulatorProvider = {
  readonly kind: 'simulator'
  readonly name: 'simulator'
  readonly models: readonly string[]
  readonly prices: ReadonlyMap<string, Price>
}

const simulator: SimulatorProvider = {
  kind: 'simulator',
  name: 'simulator',
  models: ['simulator', 'simulator-*'],
  prices: new Map([['*', { input: 0.5, output: 1.5, cacheRead: 0.05 }]]),
}

export type Providers = { readonly found: ReadonlyMap<string, Provider>; readonly problems: readonly Problem[] }

/** The file's entries, then those vendors whose key stands in the environment. The file wins. */
export function providersOf(
  entries: ReadonlyMap<string, ProviderEntry>,
  env: Environment,
  text: ConfigText,
): Providers {
  const found = new Map<string, Provider>([['simulator', simulator]])
  const problems: Problem[] = []
  for (const [name, entry] of entries) {
    const vendor = vendors.find(vendor => vendor.name === name)
    const protocol = entry.protocol ?? vendor?.protocol
    const bedrock = protocol === 'bedrock'
    const region = bedrock ? regionFor(entry, env) : (entry.region ?? null)
    const baseUrl = entry.baseUrl ?? vendor?.baseUrl ?? (bedrock && region !== null ? bedrockUrl(region) : null)
    const apiKey = entry.apiKey ?? keyOf(vendor?.keys ?? (bedrock ? bedrockKeys : []), env)
    const aws = bedrock && apiKey === null ? awsIn(env) : null
    if (bedrock && region === null && (baseUrl === null || aws !== null)) {
      const message = 'has no region; it may also stand in AWS_REGION'
      problems.push({ ...text.keyPlace(['providers'], name), path: pathText(['providers', name]), message })
      continue
    }
    const lacks = protocol === undefined ? 'protocol' : baseUrl === null ? 'baseUrl' : null
    if (lacks !== null || protocol === undefined || baseUrl === null) {
      const message = `has no ${lacks}; only known vendors (${vendors.map(known => known.name).join(', ')}) bring theirs`
      problems.push({ ...text.keyPlace(['providers'], name), path: pathText(['providers', name]), message })
      continue
    }
    found.set(name, {
      kind: 'upstream',
      name,
      protocol,
      baseUrl: baseUrl.replace(/\/+$/, ''),
      apiKey,
      region,
      aws,
      headers: entry.headers,
      models: entry.models ?? vendor?.models ?? [],
      prices: entry.prices,
      passthrough: entry.passthrough,
    })
  }
  for (const vendor of vendors) {
    const apiKey = keyOf(vendor.keys, env)
    if (apiKey === null || vendor.baseUrl === null || found.has(vendor.name)) continue
    const { name, protocol, baseUrl, models } = vendor
    const bare = { region: null, aws: null, headers: new Map(), prices: new Map(), passthrough: [] }
    found.set(name, { kind: 'upstream', name, protocol, baseUrl, apiKey, models, ...bare })
  }
  const bedrock = bedrockIn(env)
  if (bedrock !== null && !found.has('bedrock')) found.set('bedrock', bedrock)
  return { found, problems }
}

/** AWS's own variables: a region, and a bearer token or keys to sign with. */
function bedrockIn(env: Environment): UpstreamProvider | null {
  const region = regionFor({}, env)
  const apiKey = keyOf(bedrockKeys, env)
  const aws = apiKey === null ? awsIn(env) : null
  if (region === null || (apiKey === null && aws === null)) return null
  const bare = { models: [], headers: new Map(), prices: new Map(), passthrough: [] }
  const baseUrl = bedrockUrl(region)
  return { kind: 'upstream', name: 'bedrock', protocol: 'bedrock', baseUrl, apiKey, region, aws, ...bare }
}

const bedrockUrl = (region: string) => `https://bedrock-runtime.${region}.amazonaws.com`
const bedrockKeys = vendors.find(vendor => vendor.name === 'bedrock')?.keys ?? []

const keyOf = (names: readonly string[], env: Environment): Secret | null => {
  const value = names.map(name => env[name]?.trim()).find(value => value !== undefined && value !== '')
  return value === undefined ? null : new Secret(value)
}
