import { randomUUID } from 'node:crypto'
import { type TokenClaims, type TokenIssued, tokenIssuer } from '../../../schemas/token.ts'
import { actorsOf, type Delegation } from '../../core/access/delegation.ts'
import { defined } from '../../core/defined.ts'
import type { Policies } from '../policy/policies.ts'
import type { Run } from '../runs/run.ts'
import type { Identity } from './identity.ts'
import { chainOf } from './under-token.ts'

/** What is said of a token, in itself and on the log. */

/** What it says of who acts for whom, where, and how long. */
export const claimsOf = (of: {
  readonly who: Identity
  readonly token: Delegation
  readonly run: Run | null
  readonly clientId: string
  /** Unix seconds. */
  readonly iat: number
  readonly exp: number
}): TokenClaims => ({
  iss: tokenIssuer,
  aud: tokenIssuer,
  ...actorsOf(of.token.links),
  key_id: of.who.keyId,
  client_id: of.clientId,
  scope: of.token.scope.join(' '),
  ...(of.run === null
    ? {}
    : { txn: of.run.rootId, run_id: of.run.id, ...defined({ parent_run_id: of.run.parentId ?? undefined }) }),
  iat: of.iat,
  exp: of.exp,
  jti: randomUUID(),
})

/** Who let whom do what, for how long: on the log before anybody has the token. */
export function issuedFact(policies: Policies, claims: TokenClaims, who: Identity, run: Run | null): TokenIssued {
  return {
    type: 'token.issued',
    agent: who.agent,
    key_id: who.keyId,
    run_id: run?.id ?? '',
    root_run_id: run?.rootId ?? '',
    policy_version: policies.version,
    ...defined({
      team: policies.teamOf(who.agent),
      parent_run_id: run?.parentId ?? undefined,
      ancestors: run === null || run.ancestors.length === 0 ? undefined : [...run.ancestors],
      depth: run === null || run.ancestors.length === 0 ? undefined : run.ancestors.length,
    }),
    ...chainOf(who),
    actor: `agent:${claims.client_id}`,
    data: { jti: claims.jti, scope: claims.scope, expires_at: claims.exp * 1000 },
  }
}
