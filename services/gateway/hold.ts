import type { BudgetNode } from '../core/budget.ts'
import type { Toll } from '../core/purse.ts'
import type { Plan } from './policies.ts'
import type { Prices } from './prices.ts'
import type { Ask } from './protocols/protocol.ts'
import { generating } from './settle.ts'

/** What a call can use and cost at most, before it is made, and what that takes from each cap of its path. */
export type Hold = {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Null where nobody knows a price: then nothing can be held. */
  readonly costNanoUsd: number | null
  readonly tolls: readonly Toll[]
}

/**
 * A token is made of at least one byte of text, and the JSON around each message is longer than what a provider puts in its
 * place. What is named and not written out (tools that have instructions of their own, pictures behind an address, a
 * history that the provider keeps) can be more: where a body may hold such, 2,048 tokens are added.
 */
export function inputBound(body: Buffer): number {
  return body.length + (marks.some(mark => body.includes(mark)) ? 2_048 : 64)
}
/** A word too many in this list costs some tokens of a hold; one too few, a bound. In lower case, as in all protocols. */
const marks = [
  'tool',
  'function',
  'image',
  'file',
  'audio',
  'video',
  'document',
  'cache',
  'previous_',
  'prompt',
  'http',
].map(word => Buffer.from(word))

/** Where the client sets no limit. Who asks for more says so; a provider that gives more is told as `bound_violated`. */
const unlimitedOutput = 4_096

export function holdOf(
  prices: Prices,
  plan: Plan,
  call: {
    readonly operation: string
    readonly ask: Ask
    readonly body: Buffer
    readonly nodes: readonly BudgetNode[]
    /** The run was named for this very call. */
    readonly isNew: boolean
    readonly at: number
  },
): Hold {
  const { ask, operation, at } = call
  const inputTokens = inputBound(call.body)
  const outputTokens = generating.has(operation) ? (ask.maxTokens ?? unlimitedOutput) * ask.choices : 0
  const bounds = [...plan.targets, ...plan.fallback].flatMap(({ provider, model }) => {
    const bound = prices.boundOf({
      provider,
      operation,
      modelRequested: model ?? ask.model,
      inputTokens,
      outputTokens,
      at,
    })
    return bound === null ? [] : [bound.costNanoUsd]
  })
  const costNanoUsd = bounds.length === 0 ? null : Math.max(...bounds)
  const holdNanoUsd = costNanoUsd ?? 0
  const tolls =
    costNanoUsd === 0 ? [] : call.nodes.map(node => ({ ...node, holdNanoUsd, ...(call.isNew ? { isNew: true } : {}) }))
  return { inputTokens, outputTokens, costNanoUsd, tolls }
}
