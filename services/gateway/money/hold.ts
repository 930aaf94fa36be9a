import type { BudgetNode } from '../../core/money/budget.ts'
import type { Tokens } from '../../core/money/habit.ts'
import type { Toll } from '../../core/money/purse.ts'
import type { Plan } from '../policy/policies.ts'
import type { Ask } from '../protocols/protocol.ts'
import { generating } from '../settle.ts'
import type { Bound, Prices } from './prices.ts'
import { isWords } from './words.ts'

/** What a call can use and cost at most, before it is made, and what is taken for it from each cap of its path. */
export type Hold = Tokens & {
  /** Null where nobody knows a price: then nothing can be held. */
  readonly costNanoUsd: number | null
  readonly tolls: readonly Toll[]
  /** Output tokens for each choice that the request is to be limited to; null where it says so itself. */
  readonly limit: number | null
  /** What is held instead where such calls have used less of late; null: all that it can cost. */
  readonly learned: (Tokens & { readonly costNanoUsd: number }) | null
}

export type Held = {
  readonly operation: string
  readonly ask: Ask
  /** Its `inputBound`. */
  readonly inputTokens: number
  readonly nodes: readonly BudgetNode[]
  /** Unix milliseconds. */
  readonly at: number
}

/**
 * A token is made of at least one byte of text, and the JSON around each message is longer than what a provider puts in its
 * place. What is named and not written out (tools that have instructions of their own, pictures behind an address, a
 * history that the provider keeps) can be more: where a body says anything but words, 2,048 tokens are added.
 *
 * @param document the body, parsed; null where it was not read
 */
export function inputBound(body: Buffer, document: unknown): number {
  return body.length + (isWords(document) ? 64 : 2_048)
}

const limits = {
  /**
   * Where the client sets no limit one has to be set, or the hold would be no bound: one that few answers reach, but no
   * more than a sixteenth of the smallest cap, so that a few calls at once do not stand in each other's way.
   */
  unsaid: { most: 32_768, least: 4_096, share: 1 / 16 },
  /** A shorter answer than was asked for is still one: half of it, but not less than this, and this much is always one. */
  useful: { least: 256, most: 1_024 },
}

export function holdOf(prices: Prices, plan: Plan, call: Held): Hold {
  const { ask, operation, nodes } = call
  if (!generating.has(operation)) return held(prices, plan, call, 0, null)
  if (ask.maxTokens !== null) return held(prices, plan, call, ask.maxTokens, null)
  const { most, least, share } = limits.unsaid
  const cap = Math.min(...nodes.map(node => node.limitNanoUsd))
  const tokens = Math.min(most, Math.max(least, affordable(prices, plan, call, cap * share)))
  return held(prices, plan, call, tokens, tokens)
}

/** A hold that fits into what is left, with fewer output tokens; null where no useful answer would. */
export function lowered(prices: Prices, plan: Plan, call: Held, hold: Hold, leftNanoUsd: number): Hold | null {
  const choices = Math.max(1, call.ask.choices)
  const before = hold.outputTokens / choices
  const tokens = affordable(prices, plan, call, leftNanoUsd)
  const useful = Math.max(limits.useful.least, Math.min(limits.useful.most, Math.ceil(before / 2)))
  return tokens >= useful && tokens < before ? held(prices, plan, call, tokens, tokens) : null
}

/** The same call, held to what such calls use; itself where that is no less than it can cost. */
export function heldTo(prices: Prices, plan: Plan, call: Held, hold: Hold, tokens: Tokens): Hold {
  if (hold.costNanoUsd === null) return hold
  const costNanoUsd = mostOf(prices, plan, { ...call, inputTokens: tokens.inputTokens }, tokens.outputTokens)
  if (costNanoUsd === null || costNanoUsd >= hold.costNanoUsd) return hold
  const boundNanoUsd = hold.costNanoUsd
  const tolls = hold.tolls.map(toll => ({ ...toll, holdNanoUsd: costNanoUsd, boundNanoUsd }))
  return { ...hold, tolls, learned: { ...tokens, costNanoUsd } }
}

function held(prices: Prices, plan: Plan, call: Held, tokens: number, limit: number | null): Hold {
  const outputTokens = tokens * call.ask.choices
  const costNanoUsd = mostOf(prices, plan, call, outputTokens)
  const holdNanoUsd = costNanoUsd ?? 0
  const tolls = costNanoUsd === 0 ? [] : call.nodes.map(node => ({ ...node, holdNanoUsd }))
  return { inputTokens: call.inputTokens, outputTokens, costNanoUsd, tolls, limit, learned: null }
}

/** Output tokens for each choice that so much money pays for, after the input. */
function affordable(prices: Prices, plan: Plan, call: Held, nanoUsd: number): number {
  let least = limits.unsaid.most
  for (const { costNanoUsd, outputPicoUsd } of boundsOf(prices, plan, call, 0)) {
    if (outputPicoUsd === 0) continue
    const tokens = Math.floor(((nanoUsd - costNanoUsd) * 1_000) / outputPicoUsd / Math.max(1, call.ask.choices))
    least = Math.min(least, tokens)
  }
  return Math.max(0, least)
}

/** What the call can cost at most, at the dearest target that it may come to; null where nobody knows a price. */
function mostOf(prices: Prices, plan: Plan, call: Held, outputTokens: number): number | null {
  let most: number | null = null
  for (const { costNanoUsd } of boundsOf(prices, plan, call, outputTokens)) most = Math.max(most ?? 0, costNanoUsd)
  return most
}

/** At each target that the call may come to. */
function boundsOf(
  prices: Prices,
  plan: Plan,
  { operation, ask, inputTokens, at }: Held,
  outputTokens: number,
): readonly Bound[] {
  const bounds: Bound[] = []
  for (const targets of [plan.targets, plan.fallback])
    for (const { provider, model } of targets) {
      const modelRequested = model ?? ask.model
      const bound = prices.boundOf({ provider, operation, modelRequested, inputTokens, outputTokens, at })
      if (bound !== null) bounds.push(bound)
    }
  return bounds
}
