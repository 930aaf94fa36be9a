import { z } from 'zod'
import { work } from './work.ts'

/**
 * What a token says, as a JWT (RFC 7519, 9068): an agent has let another one act for it, within a scope, for a while. Only
 * what stands at the top and the current actor decide anything; earlier actors are told for the record (RFC 8693, 4.1).
 */

/** Whoever acts. `key_id`: of its own key, where it has shown one; the token dies with that key. */
export type Actor = { readonly sub: string; readonly key_id?: string | undefined; readonly act?: Actor | undefined }
const actor: z.ZodType<Actor> = z.object({
  sub: z.string().min(1),
  key_id: z.string().min(1).optional(),
  get act() {
    return actor.optional()
  },
})

export const tokenIssuer = 'sluice'
/** RFC 9068: what tells it from every other JWT. */
export const tokenForm = 'at+jwt'

export const tokenClaims = z.object({
  iss: z.literal(tokenIssuer),
  aud: z.literal(tokenIssuer),
  /** The agent at whose key the chain begins, and that key. */
  sub: z.string().min(1),
  key_id: z.string().min(1),
  /** Who acts now; inside it who acted before. Absent where nothing was delegated. */
  act: actor.optional(),
  /** The agent that asked for the token. */
  client_id: z.string().min(1),
  /** Entries `model:<glob>` and `tool:<glob>`, parted by spaces. What it does not name, the token does not open. */
  scope: z.string(),
  /** The run that it stands for, with the one above it and the root of the tree. */
  run_id: z.string().optional(),
  parent_run_id: z.string().optional(),
  txn: z.string().optional(),
  /** Unix seconds. */
  iat: z.number().int(),
  exp: z.number().int(),
  jti: z.string().min(1),
})
export type TokenClaims = z.infer<typeof tokenClaims>

/** An agent was given a token; `actor`: whoever asked for it. Its work is that of the run that it stands for, or nobody's. */
export const tokenIssued = work.extend({
  type: z.literal('token.issued'),
  actor: z.string(),
  /** `expires_at`: Unix milliseconds. */
  data: z.object({ jti: z.string(), scope: z.string(), expires_at: z.number().int().positive() }),
})
export type TokenIssued = z.infer<typeof tokenIssued>
