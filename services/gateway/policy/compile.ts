import { type Policy, unrouted } from '../../../schemas/policy.ts'
import type { ProtocolName } from '../../../schemas/work.ts'
import { mayUse } from '../../core/access/access.ts'
import { matchesAny } from '../../core/access/glob.ts'
import { cappedAbove } from '../../core/money/caps.ts'
import { openSigner } from '../../io/aws-signature.ts'
import type { Config, Provider as Configured, UpstreamProvider } from '../../io/config/config.ts'
import type { Upstream } from '../upstream/upstream.ts'
import type { Plan, Policies, Provider, Target } from './policies.ts'

export type Upstreams = { readonly network: Upstream; readonly simulator: Upstream }

export const compileProviders = (config: Pick<Config, 'providers'>, upstreams: Upstreams): Providers =>
  new Map([...config.providers].map(([name, entry]) => [name, providerOf(entry, upstreams)]))
type Providers = ReadonlyMap<string, Provider>

/** The configuration, compiled to what the pipeline asks for each request. */
export function compile(config: Config, providers: Providers): Policies {
  const routes = config.routes.map(route => {
    // A policy that was applied may name providers which other gateways have and this one has not.
    const target = (to: Policy['routes'][number]['fallback'][number], weight: number): readonly Target[] => {
      const provider = providers.get(to.provider)
      return provider === undefined
        ? []
        : [{ provider, model: to.model ?? null, timeoutMs: to.timeoutMs ?? null, weight }]
    }
    return {
      models: route.models,
      plan: {
        targets: route.targets.flatMap(to => target(to, to.weight)),
        fallback: route.fallback.flatMap(to => target(to, 1)),
        retry: route.retry,
        timeoutMs: route.timeoutMs,
      } satisfies Plan,
    }
  })
  const catalogues = [...config.providers.values()].map(entry => ({
    provider: providers.get(entry.name)!, // made from the same table
    models: entry.models,
  }))
  const named = [
    ...config.routes.flatMap(route => route.models),
    ...[...config.providers.values()].flatMap(entry => entry.models),
  ]
  const models = [...new Set(named)].filter(model => !/[*?[\]{}]/.test(model))

  const above = new Map([...config.agents.keys()].map(agent => [agent, cappedAbove(config, agent)]))
  const aboveOthers = cappedAbove(config, '')
  const may = (agent: string, model: string): boolean => {
    const policy = config.agents.get(agent)
    return policy === undefined || mayUse(policy.models, model)
  }
  const plan = (protocol: ProtocolName, model: string | null): Plan | null => {
    const route = model === null ? undefined : routes.find(route => matchesAny(route.models, model))
    if (route !== undefined) return speaking(route.plan, protocol)
    const knowing =
      model === null
        ? []
        : catalogues.filter(entry => entry.provider.speaks(protocol) && matchesAny(entry.models, model))
    const provider = knowing[0]?.provider ?? onlyOne(providers, protocol)
    return provider === null ? null : pinned(provider)
  }

  return {
    version: config.policyVersion,
    runs: config.runs.defaults,
    breakers: config.breakers,
    caps: config,
    unpriced: config.unpriced,
    provider: name => providers.get(name),
    plan,
    pinned,
    teamOf: agent => config.agents.get(agent)?.team,
    above: agent => above.get(agent) ?? aboveOthers,
    mayUse: may,
    mayDelegate: (agent, to) => config.agents.get(agent)?.mayDelegateTo.includes(to) === true,
    modelsFor: (agent, protocol) => models.filter(model => may(agent, model) && plan(protocol, model) !== null),
  }
}

const pinned = (provider: Provider): Plan => ({
  targets: [{ provider, model: null, timeoutMs: null, weight: 1 }],
  fallback: [],
  ...unrouted,
})

/** A route's targets that speak the client's protocol; bodies are not translated. */
function speaking(plan: Plan, protocol: ProtocolName): Plan | null {
  const speaks = (target: Target) => target.provider.speaks(protocol)
  const targets = plan.targets.filter(speaks)
  const fallback = plan.fallback.filter(speaks)
  const all = targets.length + fallback.length
  if (all === 0) return null
  return all === plan.targets.length + plan.fallback.length ? plan : { ...plan, targets, fallback }
}

/** The one configured provider of a protocol is asked for any model: it may know one that no list names. */
function onlyOne(providers: ReadonlyMap<string, Provider>, protocol: ProtocolName): Provider | null {
  const speaking = [...providers.values()].filter(
    provider => provider.protocol === protocol && provider.name !== 'simulator',
  )
  return speaking.length === 1 ? (speaking[0] ?? null) : null
}

function providerOf(entry: Configured, upstreams: Upstreams): Provider {
  if (entry.kind === 'simulator') {
    const { name, prices } = entry
    const everywhere = {
      speaks: () => true,
      protocol: 'openai' as const,
      baseUrl: 'simulator://',
      origin: 'simulator://',
      basePath: '',
    }
    return { name, prices, ...everywhere, headers: [], sign: null, upstream: upstreams.simulator, passthrough: [] }
  }
  const url = new URL(entry.baseUrl)
  return {
    name: entry.name,
    speaks: protocol => protocol === entry.protocol,
    protocol: entry.protocol,
    baseUrl: entry.baseUrl,
    origin: url.origin,
    basePath: url.pathname.replace(/\/+$/, ''),
    headers: [...credentials(entry), ...[...entry.headers].flatMap(([name, value]) => [name, value.reveal()])],
    sign: signing(entry),
    upstream: upstreams.network,
    prices: entry.prices,
    passthrough: entry.passthrough,
  }
}

/** AWS's keys prove a request by a signature, and only where there is no bearer token. */
function signing(entry: UpstreamProvider): Provider['sign'] {
  const { aws, region } = entry
  if (aws === null || region === null) return null
  const sign = openSigner({ credentials: aws, region, service: 'bedrock' })
  return async request => ({ ...request, headers: await sign(request) })
}

function credentials(entry: UpstreamProvider): string[] {
  const key = entry.apiKey?.reveal()
  if (key === undefined) return []
  switch (entry.protocol) {
    case 'anthropic':
      return ['x-api-key', key]
    case 'gemini':
      return ['x-goog-api-key', key]
    default:
      return ['authorization', `Bearer ${key}`]
  }
}
