import { LRUCache } from 'lru-cache'
import type { Budget } from '../../../schemas/budget.ts'
import type { Life } from '../../../schemas/ledger.ts'
import { type BudgetedScope, type BudgetNode, nodesOf, type Span, spansOf } from '../../core/money/budget.ts'
import type { Capped } from '../../core/money/caps.ts'
import { partitionOf } from '../../io/log/partitioner.ts'

/**
 * Which caps a call has to pass, and in which partition of the ledger each of them is kept: that of its scope's name, so
 * that two gateways which know of a run's tree unlike much still ask the same owner. What stands above a run changes with
 * the policy and with the hour alone, so it is reckoned once for both.
 */
export type Tolls = {
  readonly of: (path: CallPath, nowMs: number) => readonly BudgetNode[]
}

export type CallPath = {
  /** The run and those above it, each with its own budgets. */
  readonly runs: readonly CappedRun[]
  readonly agent: string
  /** The agent, its team, the organisation. One array for as long as the policy does not change. */
  readonly above: readonly Capped[]
}

/** Agents that call within an hour; reckoning the windows of one again costs some 50 µs. */
const agentsKnown = 10_000

/** `partitions`: of the ledger. The embedded log has one owner for all. */
export function openTolls(partitions: number): Tolls {
  const known = new LRUCache<string, Reckoned & { readonly above: readonly Capped[] }>({ max: agentsKnown })
  /** Most runs have the budgets that the policy gives to all. */
  const spans = new WeakMap<readonly Budget[], { readonly spans: readonly Span[]; readonly until: number }>()
  const minterOf = openMinters()
  const spansAt = (budgets: readonly Budget[], nowMs: number): readonly Span[] => {
    const before = spans.get(budgets)
    if (before !== undefined && nowMs < before.until) return before.spans
    const found = spansOf(budgets, nowMs)
    spans.set(budgets, { spans: found, until: untilOf(found) })
    return found
  }
  const scopeOf = ({ id, budgets, version, isNew }: Capped): BudgetedScope => {
    const partition = partitions === 1 ? 0 : partitionOf(id, partitions)
    return { id, budgets, partition, mintedBy: minterOf(id), version, isNew }
  }
  const nodes = (scopes: readonly Capped[], nowMs: number): readonly BudgetNode[] =>
    nodesOf(scopes.map(scopeOf), nowMs, spansAt)
  const nodesOfRun = (run: CappedRun, nowMs: number): readonly BudgetNode[] => {
    if (run.reckoned !== null && nowMs < run.reckoned.until) return run.reckoned.nodes
    const found = nodes([run], nowMs)
    // Most runs that are new have no second call.
    if (run.isNew !== true) run.reckoned = { nodes: found, until: untilOf(found) }
    return found
  }
  const nodesAbove = ({ agent, above }: CallPath, nowMs: number): readonly BudgetNode[] => {
    const before = known.get(agent)
    if (before !== undefined && before.above === above && nowMs < before.until) return before.nodes
    const found = nodes(above, nowMs)
    known.set(agent, { above, nodes: found, until: untilOf(found) })
    return found
  }
  return {
    of(path, nowMs) {
      if (path.runs.length === 0 && path.above.length === 0) return none
      const above = nodesAbove(path, nowMs)
      const [run] = path.runs
      if (run === undefined) return above
      const own = nodesOfRun(run, nowMs)
      return path.runs.length === 1
        ? [...own, ...above]
        : [...own, ...path.runs.slice(1).flatMap(upper => nodesOfRun(upper, nowMs)), ...above]
    },
  }
}

/** What a run may spend, and at which nodes that was reckoned last. Another value whenever it changes. */
export type CappedRun = Capped & { reckoned: Reckoned | null }

/** Nodes, and until when they are these: the first window that closes makes others of them. */
type Reckoned = { readonly nodes: readonly BudgetNode[]; readonly until: number }

const untilOf = (windows: readonly { readonly closesAt: number | null }[]): number =>
  Math.min(...windows.map(({ closesAt }) => closesAt ?? Number.POSITIVE_INFINITY))

const none: readonly BudgetNode[] = []

/**
 * The life that named a run stands in the run's name: `run-<gateway>-<epoch>-<number>`. Most were named by the same one as
 * the run before.
 */
function openMinters(): (scope: string) => Life | undefined {
  let [prefix, life]: [string, Life | undefined] = ['', undefined]
  return scope => {
    if (!scope.startsWith('run:run-')) return undefined
    if (life !== undefined && scope.startsWith(prefix) && /^\d+$/.test(scope.slice(prefix.length))) return life
    const [, gateway, epoch] = /^run:run-([a-z0-9-]+)-(\d+)-\d+$/.exec(scope) ?? []
    if (gateway === undefined) return undefined
    life = { gateway: `gateway-${gateway}`, epoch: Number(epoch) }
    prefix = scope.slice(0, scope.lastIndexOf('-') + 1)
    return life
  }
}
