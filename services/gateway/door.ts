import type { Policies, Provider } from './policy/policies.ts'
import type { Matched, Protocol, Refusal } from './protocols/protocol.ts'
import { matchPinned, matchRoute, openai, protocols } from './protocols/protocols.ts'
import { refusals } from './refusals.ts'
import { queryWithoutKey } from './upstream/headers.ts'

/** Which door a request knocks at: the protocol spoken there, the route, and the provider if the path pins one. */
export type Door = {
  readonly method: string
  readonly protocol: Protocol
  readonly matched: Matched
  readonly pinned: Provider | null
  /** As it goes upstream: without the key, with its question mark, or empty. */
  readonly query: string
}

/** `refusal` comes with the protocol in which it should be told. */
export type NoDoor = { readonly refusal: Refusal; readonly protocol: Protocol }

export function doorOf(
  policies: Policies,
  method: string,
  path: string,
  query: string,
  version: string | null,
): Door | NoDoor {
  const rest = query === '' ? '' : queryWithoutKey(query)
  const upstreamQuery = rest === '' ? '' : `?${rest}`
  const open = matchRoute(method, path, version)
  if (open !== null) return { ...open, method, pinned: null, query: upstreamQuery }

  const slash = path.indexOf('/', 1)
  const name = slash < 0 ? path.slice(1) : path.slice(1, slash)
  const provider = policies.provider(name)
  if (provider === undefined) return { refusal: refusals.noSuchRoute(method, path), protocol: openai }
  const inner = slash < 0 ? '/' : path.slice(slash)
  const pinned =
    provider.name === 'simulator' ? matchRoute(method, inner, version) : matchPinned(provider.protocol, method, inner)
  if (pinned !== null && provider.speaks(pinned.protocol.name))
    return { ...pinned, method, pinned: provider, query: upstreamQuery }
  if (provider.passthrough.includes(`${method} ${inner}`)) {
    const protocol = protocols.find(protocol => protocol.name === provider.protocol) ?? openai
    return { method, protocol, matched: passthrough(provider, inner), pinned: provider, query: upstreamQuery }
  }
  return { refusal: refusals.noSuchRoute(method, path), protocol: openai }
}

/** A path that the configuration lets through unread. What the provider's `baseUrl` ends with is not said twice. */
function passthrough(provider: Provider, path: string): Matched {
  const upstreamPath = provider.basePath.endsWith('/v1') && path.startsWith('/v1/') ? path.slice(3) : path
  return { route: { method: 'POST', path, operation: 'passthrough', shape: 'passthrough' }, params: {}, upstreamPath }
}
