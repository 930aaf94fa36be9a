import type { Actor, TokenClaims } from '../../../schemas/token.ts'
import type { Scope } from './scope.ts'

/** An agent in a chain of delegation. `keyId`: of the key by which it was known there; null where it was only named. */
export type Link = { readonly agent: string; readonly keyId: string | null }

/** What a token says beside whose it is. */
export type Delegation = {
  /** Outermost first: whose key it began with, and last whoever acts. */
  readonly links: readonly [Link, ...Link[]]
  readonly scope: Scope
  /** The run that it stands for; its bearer works there and below, and nowhere else. */
  readonly run: TokenRun | null
  /** Unix milliseconds. */
  readonly expiresAt: number
}
export type TokenRun = { readonly id: string; readonly parentId: string | null }

/** Agents of one chain. Whoever hands on further than this hides who it was. */
export const longestChain = 10

export const delegationOf = (claims: TokenClaims): Delegation => ({
  links: [{ agent: claims.sub, keyId: claims.key_id }, ...linksOf(claims.act).reverse()],
  scope: claims.scope.split(' '),
  run: claims.run_id === undefined ? null : { id: claims.run_id, parentId: claims.parent_run_id ?? null },
  expiresAt: claims.exp * 1000,
})

/** The claims of who delegated and who acts: nested, the latest outside (RFC 8693, 4.1). */
export function actorsOf([first, ...rest]: Delegation['links']): { readonly sub: string; readonly act?: Actor } {
  const act = rest.reduce<Actor | undefined>(
    (act, { agent, keyId }) => ({
      sub: agent,
      ...(keyId === null ? {} : { key_id: keyId }),
      ...(act === undefined ? {} : { act }),
    }),
    undefined,
  )
  return { sub: first.agent, ...(act === undefined ? {} : { act }) }
}

/** Latest first, as they are nested. */
function linksOf(act: Actor | undefined): Link[] {
  const links: Link[] = []
  for (let at = act; at !== undefined; at = at.act) links.push({ agent: at.sub, keyId: at.key_id ?? null })
  return links
}

/** Who may not hand on to whom in it, by the policy of now; null where all may. */
export function brokenLink(
  { links }: Pick<Delegation, 'links'>,
  mayDelegate: (agent: string, to: string) => boolean,
): { readonly from: string; readonly to: string } | null {
  for (const [at, { agent: to }] of links.entries()) {
    const from = links[at - 1]?.agent
    if (from !== undefined && !mayDelegate(from, to)) return { from, to }
  }
  return null
}
