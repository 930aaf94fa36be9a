import type { Forwarder } from '../../io/log/forward.ts'
import type { Till } from './till.ts'

/** How this gateway's events, and its part of the ledger, come to the brokers. */
export type Shipping = { readonly events: Forwarder['shipped']; readonly ledger: Forwarder['shipped'] }

/**
 * `durability: replicated`: whether the brokers have the admission of a call, which stands at `offset`, and the hold for it.
 * What they do not have in time is waited for no longer, and its call is not made.
 */
export type Replicated = (requestId: string, offset: number, isHeld: boolean) => Promise<boolean>

/** A leader that moves takes a second or three; what takes longer is an outage, and a client does better to come again. */
const shippedMs = 5_000

export function openReplicated({ events, ledger }: Shipping, till: Pick<Till, 'saidTo' | 'mayStillSpend'>): Replicated {
  return async (requestId, offset, isHeld) => {
    const admitted = events(offset + 1, shippedMs)
    const held = isHeld ? ledger(till.saidTo(), shippedMs) : true
    return (await admitted) && (await held) && (!isHeld || till.mayStillSpend(requestId))
  }
}
