/**
 * How much to hand out. Grants shrink with what is left, so that no gateway strands the end of a cap in its pocket. All in
 * nano-dollars; `needs` lets one call in, `wants` is what the gateway would like, 0 ≤ needs, wants.
 */
export type Room = { readonly headroom: number; readonly gateways: number }

export function grantOf(needs: number, wants: number, { headroom, gateways }: Room): number {
  if (headroom <= 0 || needs > headroom) return 0
  const share = Math.floor(headroom / (2 * Math.max(1, gateways)))
  return Math.max(needs, Math.min(wants, share))
}
