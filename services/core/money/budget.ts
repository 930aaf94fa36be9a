import type { Budget } from '../../../schemas/budget.ts'
import type { Life } from '../../../schemas/ledger.ts'
import { type Window, windowAt } from './window.ts'

/** One scope of a call's path, with what it may spend. `partition` is that of the ledger in which its team stands. */
export type BudgetedScope = {
  readonly id: string
  readonly partition: number
  readonly budgets: readonly Budget[]
  /** Of a run: the gateway epoch that named it. */
  readonly mintedBy?: Life | undefined
  /** Of a run: how often its budgets were changed. The policy knows nothing of runs, so whoever asks has to say. */
  readonly version?: number | undefined
  /** Of a run: it was named by whoever asks, and nothing was asked for it before. */
  readonly isNew?: boolean | undefined
}

/** A cap in force at a time. Nothing spans two nodes. */
export type BudgetNode = {
  readonly node: string
  readonly scope: string
  readonly partition: number
  readonly limitNanoUsd: number
  readonly opensAt: number
  readonly closesAt: number | null
  readonly mintedBy?: Life | undefined
  readonly version?: number | undefined
  readonly alertAt?: readonly number[] | undefined
  readonly isNew?: boolean | undefined
}

/** What budgets come to in a window that runs. */
export type Span = Window & { readonly limitNanoUsd: number; readonly alertAt: readonly number[] }

/** One for each window. Of two budgets with the same one the smaller counts, because both must hold. */
export function spansOf(budgets: readonly Budget[], now: number): readonly Span[] {
  const spans = new Map<string, Span>()
  for (const { limitNanoUsd, alertAt, ...period } of budgets) {
    const window = windowAt(period, now)
    const before = spans.get(window.id)
    const least = Math.min(limitNanoUsd, before?.limitNanoUsd ?? limitNanoUsd)
    spans.set(window.id, { ...window, limitNanoUsd: least, alertAt: [...(before?.alertAt ?? []), ...alertAt] })
  }
  return [...spans.values()]
}

/**
 * The nodes of a call admitted at `now`, one per scope and window, in the order given: run, its parents, agent, team, org.
 *
 * @param spans those of a scope's budgets, where they were reckoned before
 */
export const nodesOf = (
  scopes: readonly BudgetedScope[],
  now: number,
  spans: (budgets: readonly Budget[], now: number) => readonly Span[] = spansOf,
): readonly BudgetNode[] => scopes.flatMap(scope => spans(scope.budgets, now).map(span => nodeAt(scope, span)))

const nodeAt = (
  { id, partition, mintedBy, version, isNew }: BudgetedScope,
  { id: window, limitNanoUsd, opensAt, closesAt, alertAt }: Span,
): BudgetNode => ({
  node: `${id}/${window}`,
  scope: id,
  partition,
  limitNanoUsd,
  opensAt,
  closesAt,
  // A window that opens while a run lives was nobody's from the first moment: only the whole life is a birthright.
  mintedBy: closesAt === null ? mintedBy : undefined,
  version,
  alertAt: version === undefined ? undefined : alertAt,
  isNew,
})

/** What the epoch that named a run may spend at it without asking. Owner and gateway compute it alike. */
export const birthrightOf = (limitNanoUsd: number): number => Math.floor(limitNanoUsd / 2)

/**
 * What that epoch may use at the run beyond its last report, so that most calls need no word of their own before their
 * provider is asked. Both compute this alike, too: where the epoch dies, so much more is presumed until the truth is told.
 */
export const silentOf = (birthrightNanoUsd: number): number => Math.floor(birthrightNanoUsd / 16)
