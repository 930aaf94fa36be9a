import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { HeaderView } from '../core/lineage.ts'

/** Whose key it is. */
export type Identity = { readonly agent: string; readonly keyId: string }

/** Finds the owner of a key by the SHA-256 (hex) of the whole key. */
export type KeyView = { find(hash: string): Identity | undefined }

/** Who calls, by the key that the request carries. */
export type Identities = {
  of(headers: HeaderView, query: string): Identity | null
  /** Keys have changed: what was remembered is forgotten. */
  forget(): void
}

/** As many keys as one gateway will see in use; above that a hash is computed again. */
const rememberedKeys = 10_000

export function openIdentities(keys: readonly KeyView[]): Identities {
  const remembered = new LRUCache<string, Identity>({ max: rememberedKeys })
  return {
    of(headers, query) {
      const key = credentialOf(headers, query)
      if (key === null) return null
      const known = remembered.get(key)
      if (known !== undefined) return known
      const hash = createHash('sha256').update(key).digest('hex')
      for (const view of keys) {
        const found = view.find(hash)
        if (found !== undefined) {
          remembered.set(key, found)
          return found
        }
      }
      return null
    },
    forget: () => remembered.clear(),
  }
}

/** The places where vendors' SDKs put their key. */
function credentialOf(headers: HeaderView, query: string): string | null {
  const authorization = headers['authorization']
  if (typeof authorization === 'string' && /^bearer /i.test(authorization)) return authorization.slice(7).trim()
  for (const name of ['x-api-key', 'x-goog-api-key', 'api-key']) {
    const value = headers[name]
    if (typeof value === 'string' && value !== '') return value
  }
  return query === '' ? null : new URLSearchParams(query).get('key')
}

/** The hashes that stand in the configuration. Such a key's id is the beginning of its hash. */
export function configuredKeys(agents: ReadonlyMap<string, { readonly keys: readonly string[] }>): KeyView {
  const found = new Map<string, Identity>()
  for (const [agent, { keys }] of agents)
    for (const key of keys) {
      const hash = key.replace(/^sha256:/, '')
      found.set(hash, { agent, keyId: `sha256:${hash.slice(0, 12)}` })
    }
  return { find: hash => found.get(hash) }
}
