import type { Admission } from '../core/lease.ts'
import { type Held, type Hold, holdOf, lowered } from './hold.ts'
import type { Pipeline } from './parts.ts'
import type { Plan } from './policies.ts'
import type { Ask, Refusal } from './protocols/protocol.ts'
import { refusals } from './refusals.ts'
import type { CallPath } from './tolls.ts'

/**
 * Whether a call can be paid for, whatever it will cost at most. Null: no cap stands over it. `written` has to be waited
 * for before the provider is called; false: the hold could not be put on disk, and is given back.
 */
export type Afforded = { readonly hold: Hold; readonly epoch: number; readonly written: Promise<boolean> }

export type Wish = {
  readonly requestId: string
  readonly operation: string
  readonly ask: Ask
  readonly body: Buffer
  readonly path: CallPath
}

export function afford(pipeline: Pipeline, plan: Plan, wish: Wish): Promise<Afforded | Refusal> | null {
  const at = Date.now()
  const nodes = pipeline.money.tolls.of(wish.path, at)
  if (nodes.length === 0) return null
  const call = { ...wish, nodes, at }
  const hold = holdOf(pipeline.prices, plan, call)
  if (hold.costNanoUsd === null && pipeline.policies().unpriced === 'refuse')
    return Promise.resolve(refusals.unpriced(wish.ask.model ?? ''))
  return hold.tolls.length === 0 ? null : take(pipeline, plan, wish.requestId, call, hold)
}

/** What does not fit whole is made shorter, once, where that would still be an answer. */
async function take(
  pipeline: Pipeline,
  plan: Plan,
  requestId: string,
  call: Held,
  hold: Hold,
): Promise<Afforded | Refusal> {
  const { till } = pipeline.money
  const taken = await till.admit(requestId, hold.tolls)
  if (taken.verdict === 'admit') return { hold, epoch: taken.epoch, written: taken.written }
  const left = taken.verdict === 'exceeded' ? taken.limitNanoUsd - taken.spentNanoUsd : 0
  const less = left > 0 ? lowered(pipeline.prices, plan, call, hold, left) : null
  if (less === null) return refusalOf(taken)
  const again = await till.admit(requestId, less.tolls)
  return again.verdict === 'admit' ? { hold: less, epoch: again.epoch, written: again.written } : refusalOf(again)
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
