import type { Admission } from '../../core/money/lease.ts'
import type { Pipeline } from '../parts.ts'
import type { Plan } from '../policy/policies.ts'
import type { Ask, Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import { choicesOf, type Habits } from './habits.ts'
import { type Held, type Hold, heldTo, holdOf, inputBound, lowered } from './hold.ts'
import type { Taken } from './till.ts'
import type { CallPath } from './tolls.ts'

/**
 * Whether a call can be paid for: whatever it will cost at most, or with `holds: learned` what such calls cost. Null: no cap
 * stands over it. `written` has to be waited for before the provider is called; false: the hold could not be put on disk,
 * and is given back.
 */
export type Afforded = { readonly hold: Hold; readonly epoch: number; readonly written: Promise<boolean> | null }

export type Wish = {
  readonly requestId: string
  readonly operation: string
  readonly ask: Ask
  readonly body: Buffer
  /** The body, parsed; null where it was not read. */
  readonly document: unknown
  readonly path: CallPath
}

export function afford(
  pipeline: Pipeline,
  plan: Plan,
  wish: Wish,
): Afforded | Refusal | Promise<Afforded | Refusal> | null {
  // What an answer in the background comes to is held where it was begun; asking for it costs nothing.
  if (wish.operation === 'retrieve') return null
  const at = Date.now()
  const nodes = pipeline.money.tolls.of(wish.path, at)
  if (nodes.length === 0) return null
  const { requestId, operation, ask, body, document } = wish
  const call = { operation, ask, inputTokens: inputBound(body, document), nodes, at }
  const most = holdOf(pipeline.prices, plan, call)
  if (most.costNanoUsd === null && pipeline.policies().unpriced === 'refuse') return refusals.unpriced(ask.model ?? '')
  if (most.tolls.length === 0) return null
  const hold = pipeline.habits === null ? most : usualOf(pipeline, pipeline.habits, plan, wish, call, most)
  const taken = pipeline.money.till.admit(requestId, hold.tolls)
  // A promise costs more than all of this: only who waits has one.
  if (!('then' in taken) && taken.verdict === 'admit') return { hold, epoch: taken.epoch, written: taken.written }
  return shorten(pipeline, plan, requestId, call, hold, taken)
}

function usualOf(pipeline: Pipeline, habits: Habits, plan: Plan, wish: Wish, call: Held, most: Hold): Hold {
  const { inputTokens, outputTokens } = most
  const use = { bytes: wish.body.length, choices: choicesOf(wish.ask), inputTokens, outputTokens }
  return heldTo(pipeline.prices, plan, call, most, habits.expected(wish.path.agent, wish.ask, use))
}

/** What does not fit whole is made shorter, once, where that would still be an answer. */
async function shorten(
  pipeline: Pipeline,
  plan: Plan,
  requestId: string,
  call: Held,
  hold: Hold,
  answer: Taken | Promise<Taken>,
): Promise<Afforded | Refusal> {
  const { till } = pipeline.money
  const taken = await answer
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
