import { z } from 'zod'

/**
 * Facts of `sluice.config` about the keys that tokens are signed with. Each data directory has one; its public part is
 * told here, so that every gateway can verify what any of them has signed. The private part never leaves its directory.
 */
export const signerId = z.string().regex(/^[0-9a-f]{32}$/)

export const signerCreated = z.object({
  type: z.literal('signer.created'),
  /** The first half of the SHA-256 of the public key in hex; tokens name it as `kid`. */
  signer_id: signerId,
  /** Ed25519: 32 bytes in base64url, the `x` of its JWK. */
  public_key: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  /** Unix milliseconds; from then on nothing counts that it has signed. */
  expires_at: z.number().int().positive(),
})
export const signerRevoked = z.object({ type: z.literal('signer.revoked'), signer_id: signerId })
export const signerFact = z.discriminatedUnion('type', [signerCreated, signerRevoked])
export type SignerFact = z.infer<typeof signerFact>

/** The key under which the facts of a signer stand. */
export const signerKey = (id: string): string => `signer:${id}`
