/**
 * Which headers pass. Towards the provider: what the client's SDK says of the protocol (`anthropic-version`,
 * `openai-beta`, `traceparent`, `user-agent`, …), and never the agent's key or identity. Towards the client: what the
 * provider says, without what belongs to the connection.
 */

/** Of one connection only (RFC 9110, 7.6.1), or made anew by whoever sends. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
]

const keptFromProvider = new Set([
  ...hopByHop,
  'host',
  'expect',
  // The agent's credentials, in every place where a vendor's SDK puts them.
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'api-key',
  'cookie',
  // What a client has signed with credentials of its own is void once the request is made anew.
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  // We read the answer while it passes; what comes unencoded need not be decoded.
  'accept-encoding',
  // Who works here is none of the provider's business, and baggage is a leak by design.
  'baggage',
  'forwarded',
  'x-real-ip',
])
const keptPrefixes = ['x-sluice-', 'x-portkey-', 'x-litellm-', 'helicone-', 'langfuse_', 'x-forwarded-', 'cf-']

const keptFromClient = new Set([...hopByHop, 'set-cookie', 'alt-svc', 'strict-transport-security'])

/** `raw` as Node gives it (name, value, …); `own` is appended. Names that `own` sets are dropped from `raw`. */
export function towardsProvider(raw: readonly string[], own: readonly string[]): string[] {
  const replaced = new Set<string>()
  for (let i = 0; i < own.length; i += 2) replaced.add((own[i] ?? '').toLowerCase())
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase()
    if (keptFromProvider.has(name) || replaced.has(name) || keptPrefixes.some(prefix => name.startsWith(prefix)))
      continue
    out.push(raw[i] ?? '', raw[i + 1] ?? '')
  }
  out.push(...own)
  return out
}

export function towardsClient(raw: readonly string[], options: { readonly decoded: boolean }): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase()
    if (keptFromClient.has(name) || name.startsWith('x-sluice-') || (options.decoded && name === 'content-encoding'))
      continue
    out.push(raw[i] ?? '', raw[i + 1] ?? '')
  }
  return out
}

/** A header's first value, by lower-case name. */
export function headerOf(raw: readonly string[], name: string): string | null {
  for (let i = 0; i + 1 < raw.length; i += 2) if ((raw[i] ?? '').toLowerCase() === name) return raw[i + 1] ?? null
  return null
}

/** The query without `key`, which is a credential; everything else stays as it was written. */
export function queryWithoutKey(query: string): string {
  const pairs = query.split('&')
  const kept = pairs.filter(pair => !named(pair, 'key'))
  return kept.length === pairs.length ? query : kept.join('&')
}

/** Names may be written in many ways (`%6bey`), and all of them are the name: `URLSearchParams` reads them so, too. */
const named = (pair: string, name: string): boolean =>
  pair.startsWith(`${name}=`) || (pair.includes('%') && new URLSearchParams(pair).has(name))
