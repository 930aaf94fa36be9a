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

const keptFromProvider = namesOf([
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

const keptFromClient = namesOf([...hopByHop, 'set-cookie', 'alt-svc', 'strict-transport-security'])

/** `raw` as Node gives it (name, value, …); `own` is appended. Names that `own` sets are dropped from `raw`. */
export function towardsProvider(raw: readonly string[], own: readonly string[]): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (isOneOf(keptFromProvider, name) || keptPrefixes.some(prefix => beginsWith(name, prefix)) || sets(own, name))
      continue
    out.push(name, raw[i + 1] ?? '')
  }
  out.push(...own)
  return out
}

export function towardsClient(raw: readonly string[], options: { readonly decoded: boolean }): string[] {
  const out: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? ''
    if (isOneOf(keptFromClient, name) || beginsWith(name, 'x-sluice-')) continue
    if (options.decoded && isSame(name, 'content-encoding')) continue
    out.push(name, raw[i + 1] ?? '')
  }
  return out
}

/** A header's first value, by lower-case name. */
export function headerOf(raw: readonly string[], name: string): string | null {
  for (let i = 0; i + 1 < raw.length; i += 2) if (isSame(raw[i] ?? '', name)) return raw[i + 1] ?? null
  return null
}

/** Lower-case names by their length: most headers are told apart without a look at their letters. */
type Names = readonly (readonly string[])[]

function namesOf(names: readonly string[]): Names {
  const longest = Math.max(...names.map(name => name.length))
  return Array.from({ length: longest + 1 }, (_, length) => names.filter(name => name.length === length))
}

const isOneOf = (names: Names, name: string): boolean => names[name.length]?.some(known => isSame(name, known)) ?? false

/** Letter by letter, for a name in lower case would be one more text for each header of each request. */
const isSame = (name: string, lower: string): boolean => name.length === lower.length && beginsWith(name, lower)

function beginsWith(name: string, lower: string): boolean {
  if (name.length < lower.length) return false
  for (let i = 0; i < lower.length; i++) {
    const code = name.charCodeAt(i)
    if ((code >= 0x41 && code <= 0x5a ? code | 0x20 : code) !== lower.charCodeAt(i)) return false
  }
  return true
}

function sets(own: readonly string[], name: string): boolean {
  for (let i = 0; i < own.length; i += 2) {
    const other = own[i] ?? ''
    if (other.length === name.length && isSame(name, other.toLowerCase())) return true
  }
  return false
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
