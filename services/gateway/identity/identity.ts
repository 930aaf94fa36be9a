import { LRUCache } from 'lru-cache'
import type { KeyOwner, KeyView } from '../../../schemas/agent-key.ts'
import type { Delegation } from '../../core/access/delegation.ts'
import type { HeaderView } from '../../core/conversation/lineage.ts'
import { hashOfKey } from '../../io/keys/keys.ts'
import { isToken } from '../../io/keys/token-reader.ts'

/**
 * Who calls. `keyId` is the key that was shown, or that the token was derived from. `token`: it acts for another, or less
 * freely than its key would let it.
 */
export type Identity = KeyOwner & { readonly token?: Delegation }

/** Who calls, by the key or token that the request carries. */
export type Identities = {
  of(headers: HeaderView, query: string): Identity | null
  /** Whose key or token this is. */
  find(credential: string): Identity | null
  /** Keys have changed: what was remembered is forgotten. */
  forget(): void
}

/** As many keys as one gateway will see in use; above that a hash is computed again. */
const rememberedKeys = 10_000

/** `tokens` says whose token it is, if it is one that counts. */
export function openIdentities(
  keys: readonly KeyView[],
  tokens: { of(token: string): Identity | null; forget(): void },
): Identities {
  const remembered = new LRUCache<string, Identity>({ max: rememberedKeys })
  const find = (credential: string): Identity | null => {
    const known = remembered.get(credential)
    if (known !== undefined) return known
    if (isToken(credential)) {
      const found = tokens.of(credential)
      if (found !== null) return found
    }
    const hash = hashOfKey(credential)
    for (const view of keys) {
      const found = view.find(hash)
      if (found !== undefined) {
        remembered.set(credential, found)
        return found
      }
    }
    return null
  }
  return {
    find,
    of(headers, query) {
      const credential = credentialOf(headers, query)
      return credential === null ? null : find(credential)
    },
    forget() {
      remembered.clear()
      tokens.forget()
    },
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
