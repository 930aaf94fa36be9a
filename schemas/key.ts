import { z } from 'zod'

/** Facts of `sluice.config` about agents' keys. Only a SHA-256 (hex) of the whole key is ever kept. */
export const keyCreated = z.object({
  type: z.literal('key.created'),
  key_id: z.string(),
  agent: z.string(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
})
export const keyRevoked = z.object({ type: z.literal('key.revoked'), key_id: z.string() })
export const keyFact = z.discriminatedUnion('type', [keyCreated, keyRevoked])
export type KeyFact = z.infer<typeof keyFact>
