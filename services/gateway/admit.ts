import { continued } from '../../schemas/events.ts'
import type { Call } from './call.ts'
import type { Caller } from './caller.ts'
import type { Door } from './door.ts'
import type { Identity } from './identity/identity.ts'
import { tokenRefusal } from './identity/under-token.ts'
import { type Afforded, afford } from './money/afford.ts'
import type { Hold } from './money/hold.ts'
import type { CallPath } from './money/tolls.ts'
import type { Pipeline } from './parts.ts'
import type { Plan, Policies } from './policy/policies.ts'
import type { Ask, Protocol, Refusal } from './protocols/protocol.ts'
import { refusals } from './refusals.ts'
import { cappedRuns, runRefusal, watch } from './runs/admission.ts'
import type { Found } from './runs/runs.ts'

/** Whether a call may be made: where it can go, and what is held for it; or why not. */
export type Decided =
  | { readonly refusal: null; readonly plan: Plan; readonly paid: Afforded | null }
  | { readonly refusal: Refusal }

export type Wanted = {
  readonly requestId: string
  readonly door: Door
  readonly ask: Ask
  readonly body: Buffer
  /** The body, parsed; null where it was not read. */
  readonly document: unknown
  readonly who: Identity
  readonly team: string | undefined
  readonly found: Found
}

/**
 * Stops and limits of its run, then the policy, then money: what is held last never has to be given back for the others.
 * Only a call that waits for money is waited for.
 */
export function admit(
  pipeline: Pipeline,
  policies: Policies,
  caller: Caller,
  wanted: Wanted,
): Decided | Promise<Decided> {
  const { requestId, door, ask, body, document, who, team, found } = wanted
  const plan = planOf(pipeline, policies, door, ask, who)
  const place = { run: found.run, agent: who.agent, chain: who.token?.links, team, model: ask.model }
  const denied = runRefusal(pipeline, policies, place) ?? policyRefusal(policies, plan, ask, who, door.protocol)
  if (denied !== null || plan === null)
    return { refusal: denied ?? refusals.unknownModel(ask.model ?? '', door.protocol.name) }
  watch(pipeline, policies, caller, place)
  const operation = ask.operation ?? door.matched.route.operation
  const path = pathOf(pipeline, policies, found, who)
  const asked = afford(pipeline, plan, { requestId, operation, ask, body, document, path })
  if (asked === null) return { refusal: null, plan, paid: null }
  if (!('then' in asked)) return 'code' in asked ? { refusal: asked } : { refusal: null, plan, paid: asked }
  return asked.then((paid): Decided => {
    if ('code' in paid) return { refusal: paid }
    // While it waited, others of its run may have made the last steps, or it was stopped.
    const overtaken = runRefusal(pipeline, policies, place)
    if (overtaken === null) return { refusal: null, plan, paid }
    pipeline.money.till.settle(requestId, 0, null)
    return { refusal: overtaken }
  })
}

/** What of it stands on the log before the provider is called. */
export const admission = ({ opening, body, ask }: Call, paid: Afforded | null) =>
  paid === null
    ? continued('admission.granted', opening, {
        bound_input_tokens: body.length + 2_048,
        bound_output_tokens: ask.maxTokens === null ? undefined : ask.maxTokens * ask.choices,
      })
    : continued('admission.granted', opening, {
        bound_input_tokens: paid.hold.inputTokens,
        bound_output_tokens: paid.hold.outputTokens,
        bound_nano_usd: paid.hold.costNanoUsd ?? undefined,
        data: {
          nodes: paid.hold.tolls.map(toll => toll.node),
          epoch: paid.epoch,
          limited_to: paid.hold.limit ?? undefined,
          held: paid.hold.learned === null ? undefined : heldOf(paid.hold.learned),
        },
      })

const heldOf = ({ inputTokens, outputTokens, costNanoUsd }: NonNullable<Hold['learned']>) => ({
  input_tokens: inputTokens,
  output_tokens: outputTokens,
  nano_usd: costNanoUsd,
})

/** Which caps it stands under. */
const pathOf = (pipeline: Pipeline, policies: Policies, found: Found, { agent }: Identity): CallPath => ({
  runs: cappedRuns(pipeline, policies, found),
  agent,
  above: policies.above(agent),
})

/** A pinned provider, whoever holds the background answer that is asked for, or the route for the model. */
function planOf(pipeline: Pipeline, policies: Policies, door: Door, ask: Ask, who: Identity): Plan | null {
  if (door.pinned !== null) return policies.pinned(door.pinned)
  const holder = pipeline.queued.providerOf(who.agent, door.matched.params['id'] ?? '')
  const provider = holder === null ? undefined : policies.provider(holder)
  return provider === undefined ? policies.plan(door.protocol.name, ask.model) : policies.pinned(provider)
}

function policyRefusal(
  policies: Policies,
  plan: Plan | null,
  ask: Ask,
  who: Identity,
  protocol: Protocol,
): Refusal | null {
  if (ask.model !== null && !policies.mayUse(who.agent, ask.model))
    return refusals.modelNotAllowed(who.agent, ask.model)
  const byToken = tokenRefusal(policies, who, ask.model)
  if (byToken !== null) return byToken
  return plan === null ? refusals.unknownModel(ask.model ?? '', protocol.name) : null
}
