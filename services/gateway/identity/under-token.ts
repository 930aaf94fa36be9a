import { brokenLink, type TokenRun } from '../../core/access/delegation.ts'
import { opensModel } from '../../core/access/scope.ts'
import type { Told } from '../../core/conversation/lineage.ts'
import type { Policies } from '../policy/policies.ts'
import type { Protocol, Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import type { Run } from '../runs/run.ts'
import type { Identity } from './identity.ts'

/** What a token changes for its bearer. Whoever shows a key is not asked any of this. */

/**
 * What is told of the run. A token stands below `x-sluice-run-id` on the ladder and above everything else; a run that its
 * bearer names is one below its own.
 */
export function toldUnder<Of extends Pick<Told, 'claim' | 'parentRunId'>>({ token }: Identity, told: Of): Of {
  if (token?.run == null) return told
  const { run } = token
  const { claim } = told
  if (claim?.source !== 'header')
    return { ...told, claim: { runId: run.id, source: 'token' }, parentRunId: run.parentId }
  return { ...told, parentRunId: claim.runId === run.id ? run.parentId : (told.parentRunId ?? run.id) }
}

/** Whether a run is the token's own or stands below it. */
export const isUnder = (own: TokenRun, run: Run): boolean => run.id === own.id || run.ancestors.includes(own.id)

/** Why its bearer may not work in this run: money of another tree is not what it was given. */
export const strayed = ({ token }: Identity, run: Run): Refusal | null =>
  token?.run == null || isUnder(token.run, run) ? null : refusals.strayed(token.run.id, run.id)

/** Why it may not make this call, by its scope and by what each of the chain may hand on now. */
export function tokenRefusal(policies: Policies, { token, agent }: Identity, model: string | null): Refusal | null {
  if (token === undefined) return null
  const broken = brokenLink(token, policies.mayDelegate)
  if (broken !== null) return refusals.delegationNotAllowed(broken.from, broken.to)
  return model === null || opensModel(token.scope, model) ? null : refusals.modelNotAllowed(agent, model)
}

/** What there is to use for whoever asks. */
export function modelsFor(policies: Policies, { agent, token }: Identity, { name }: Protocol): readonly string[] {
  const models = policies.modelsFor(agent, name)
  return token === undefined ? models : models.filter(model => opensModel(token.scope, model))
}

/** What of it stands in each fact. A token for oneself delegates nothing. */
export function chainOf({ token }: Identity): { readonly chain?: string[]; readonly chain_verified?: true } {
  return token === undefined || token.links.length < 2
    ? {}
    : { chain: token.links.map(({ agent }) => agent), chain_verified: true }
}
