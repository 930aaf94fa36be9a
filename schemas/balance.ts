import { z } from 'zod'

/**
 * How one cap stands. Money is in nano-dollars. `held`: bounds of the calls under way; `leased`: what gateways may spend
 * without asking, the holds among it; `presumed`: holds of gateways that are gone, until the truth arrives; `left`: what
 * new calls may be admitted with, idle leases called back.
 */
export const balance = z.object({
  /** `agent:researcher/1d@2026-11-21`: a scope in one window. */
  node: z.string(),
  scope: z.string(),
  /** `1d@2026-11-21`, or `life`. */
  window: z.string(),
  limit_nano_usd: z.number(),
  spent_nano_usd: z.number(),
  held_nano_usd: z.number(),
  leased_nano_usd: z.number(),
  presumed_nano_usd: z.number(),
  left_nano_usd: z.number(),
  /** A call was refused for good, for it did not fit. */
  exhausted: z.boolean(),
  /** Unix milliseconds; null: never. */
  resets_at: z.number().nullable(),
})
export type Balance = z.infer<typeof balance>
