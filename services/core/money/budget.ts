import type { Budget } from '../../../schemas/budget.ts'
import type { Life } from '../../../schemas/ledger.ts'
import { windowAt } from './window.ts'

/** One scope of a call's path, with what it may spend. `partition` is that of the ledger in which its team stands. */
export type BudgetedScope = {
  readonly id: string
  readonly partition: number
  readonly budgets: readonly Budget[]
  /** Of a run: the gateway epoch that named it. */
  readonly mintedBy?: Life
  /** Of a run: how often its budgets were changed. The policy knows nothing of runs, so whoever asks has to say. */
  readonly version?: number
  /** Of a run: it was named by whoever asks, and nothing was asked for it before. */
  readonly isNew?: boolean
}

/** A cap in force at a time. Nothing spans two nodes. */
export type BudgetNode = {
  readonly node: string
  readonly scope: string
  readonly partition: number
  readonly limitNanoUsd: number
  readonly opensAt: number
  readonly closesAt: number | null
  readonly mintedBy?: Life
  readonly version?: number
  readonly alertAt?: readonly number[]
  readonly isNew?: boolean
}

/**
 * The nodes of a call admitted at `now`, one per scope and window, in the order given: run, its parents, agent, team, org.
 * Of two budgets with the same window the smaller counts, because both must hold.
 */
export function nodesOf(scopes: readonly BudgetedScope[], now: number): readonly BudgetNode[] {
  const nodes = new Map<string, BudgetNode>()
  for (const { id, partition, budgets, mintedBy, version, isNew } of scopes)
    for (const budget of budgets) {
      const window = windowAt(budget, now)
      const node = `${id}/${window.id}`
      const limitNanoUsd = Math.min(budget.limitNanoUsd, nodes.get(node)?.limitNanoUsd ?? budget.limitNanoUsd)
      const { opensAt, closesAt } = window
      nodes.set(node, {
        node,
        scope: id,
        partition,
        limitNanoUsd,
        opensAt,
        closesAt,
        // A window that opens while a run lives was nobody's from the first moment: only the whole life is a birthright.
        ...(mintedBy !== undefined && closesAt === null ? { mintedBy } : {}),
        ...(version === undefined ? {} : { version, alertAt: budget.alertAt }),
        ...(isNew === true ? { isNew } : {}),
      })
    }
  return [...nodes.values()]
}

/** What the epoch that named a run may spend at it without asking. Owner and gateway compute it alike. */
export const birthrightOf = (limitNanoUsd: number): number => Math.floor(limitNanoUsd / 2)
