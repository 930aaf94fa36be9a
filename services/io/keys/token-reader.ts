import { createDecoder, createVerifier } from 'fast-jwt'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import { type TokenClaims, tokenClaims, tokenForm, tokenIssuer } from '../../../schemas/token.ts'
import type { Signer } from './signers.ts'

/** What a token says; null where it is none, or none that counts now: forged, expired, by a signer that nobody knows. */
export type TokenReader = (token: string) => TokenClaims | null

/** Ours are shorter, whatever stands in them; what is longer is not even decoded. */
const longestToken = 8_192
/** One for each signer whose tokens come in: there are as many as data directories. */
const knownVerifiers = 1_000

/** Looks like a JWT: its header begins with `{"`. */
export const isToken = (text: string): boolean => text.startsWith('eyJ')

export function openTokenReader(signerOf: (id: string) => Signer | undefined): TokenReader {
  const decode = createDecoder({ complete: true })
  const verifiers = new LRUCache<string, (token: string) => unknown>({ max: knownVerifiers })
  const verifierOf = (signer: Signer) => {
    const known = verifiers.get(signer.id)
    if (known !== undefined) return known
    const made: (token: string) => unknown = createVerifier({
      key: signer.publicKey,
      // Whatever a token says of itself, it is verified as this and nothing else.
      algorithms: ['EdDSA'],
      allowedIss: tokenIssuer,
      allowedAud: tokenIssuer,
      checkTyp: tokenForm,
    })
    verifiers.set(signer.id, made)
    return made
  }
  return token => {
    if (token.length > longestToken) return null
    try {
      const { kid } = namesKey.parse(decode(token)).header
      // Asked each time: a signer that was revoked, or has expired, has no verifier that counts.
      const signer = signerOf(kid)
      return signer === undefined ? null : (tokenClaims.safeParse(verifierOf(signer)(token)).data ?? null)
    } catch {
      return null // to whoever sends it, all that is wrong with a token is the same
    }
  }
}

const namesKey = z.object({ header: z.object({ kid: z.string() }) })
