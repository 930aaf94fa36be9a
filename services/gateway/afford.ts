import type { Admission } from '../core/lease.ts'
import { type Hold, holdOf } from './hold.ts'
import type { Pipeline } from './parts.ts'
import type { Plan } from './policies.ts'
import type { Ask, Refusal } from './protocols/protocol.ts'
import { refusals } from './refusals.ts'
import type { CallPath } from './tolls.ts'

/**
 * Whether a call can be paid for, whatever it will cost at most. Null: no cap stands over it. `written` has to be waited
 * for before the provider is called; false: the hold could not be put on disk, and is given back.
 */
export type Afforded = { readonly hold: Hold; readonly written: Promise<boolean> }

export type Wish = {
  readonly requestId: string
  readonly operation: string
  readonly ask: Ask
  readonly body: Buffer
  readonly path: CallPath
  readonly isNew: boolean
}

export function afford(pipeline: Pipeline, plan: Plan, wish: Wish): Promise<Afforded | Refusal> | null {
  const at = Date.now()
  const nodes = pipeline.money.tolls.of(wish.path, at)
  if (nodes.length === 0) return null
  const hold = holdOf(pipeline.prices, plan, { ...wish, nodes, at })
  if (hold.costNanoUsd === null && pipeline.policies().unpriced === 'refuse')
    return Promise.resolve(refusals.unpriced(wish.ask.model ?? ''))
  return hold.tolls.length === 0 ? null : take(pipeline, wish.requestId, hold)
}

async function take(pipeline: Pipeline, requestId: string, hold: Hold): Promise<Afforded | Refusal> {
  const taken = await pipeline.money.till.admit(requestId, hold.tolls)
  return taken.verdict === 'admit' ? { hold, written: taken.written } : refusalOf(taken)
}

function refusalOf(no: Exclude<Admission, { readonly verdict: 'admit' | 'wait' }>): Refusal {
  switch (no.verdict) {
    case 'exceeded':
      return refusals.budgetExceeded(no)
    case 'contended':
      return refusals.budgetContended(no.retryAfterMs)
    case 'log_unavailable':
      return refusals.logUnavailable()
    default:
      return no satisfies never
  }
}
