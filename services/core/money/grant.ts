/**
 * How much to hand out. Grants shrink with what is left, so that no gateway strands the end of a cap in its pocket. All in
 * nano-dollars; `needs` lets one call in, `wants` is what the gateway would like, `stock` what would last it for a term.
 */
export type Wish = { readonly needs: number; readonly wants: number; readonly stock: number }
/** `idle`: what was lent to it and is not spent, as far as its owner knows. */
export type Room = { readonly headroom: number; readonly gateways: number; readonly idle: number }

export function grantOf({ needs, wants, stock }: Wish, { headroom, gateways, idle }: Room): number {
  if (headroom <= 0 || needs > headroom) return 0
  const share = Math.floor(headroom / (2 * Math.max(1, gateways)))
  return Math.max(needs, Math.min(wants, share), Math.min(stock, Math.floor(share / plenty) - idle))
}

/** A stock is no more than one part in so many of what else could be had: all stocks together are an eighth of what is left. */
const plenty = 4
