import { LRUCache } from 'lru-cache'
import type { KeyView } from '../../../schemas/agent-key.ts'
import { delegationOf, type Link } from '../../core/access/delegation.ts'
import type { TokenReader } from '../../io/keys/token-reader.ts'
import type { Identity } from './identity.ts'

/** Whose tokens these are. */
export type Tokens = {
  /** Null where it does not count: forged, expired, or derived from a key that is good no more. */
  of(token: string): Identity | null
  /** Keys or signers have changed. */
  forget(): void
}

/** Tokens in use at once, at some 3 KiB each with what they say; one that falls out is verified again. */
const rememberedTokens = 5_000

export function openTokens(options: {
  readonly read: TokenReader
  readonly keys: readonly KeyView[]
  /** An agent that the policy had and has no more. */
  readonly removed: (agent: string) => boolean
}): Tokens {
  const { read, keys, removed } = options
  const remembered = new LRUCache<string, Identity & Required<Pick<Identity, 'token'>>>({ max: rememberedTokens })
  const isGood = ({ agent, keyId }: Link): boolean =>
    keyId === null ? !removed(agent) : keys.some(view => view.byId(keyId)?.agent === agent)
  return {
    of(token) {
      const known = remembered.get(token)
      if (known !== undefined) {
        if (known.token.expiresAt > Date.now()) return known
        remembered.delete(token)
        return null
      }
      const claims = read(token)
      if (claims === null) return null
      const delegation = delegationOf(claims)
      if (!delegation.links.every(isGood)) return null
      const acting = delegation.links.at(-1) ?? delegation.links[0]
      const found = { agent: acting.agent, keyId: claims.key_id, token: delegation }
      remembered.set(token, found)
      return found
    },
    forget: () => remembered.clear(),
  }
}
