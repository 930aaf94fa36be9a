import { LRUCache } from 'lru-cache'
import type { KeyOwner, KeyView } from '../../schemas/agent-key.ts'
import type { HeaderView } from '../core/lineage.ts'
import { hashOfKey } from '../io/keys.ts'

export type Identity = KeyOwner

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
      const hash = hashOfKey(key)
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
