import type { LeaseReport, LedgerMessage, Life, RunCap } from '../../schemas/ledger.ts'
import { birthrightOf } from '../../services/core/money/budget.ts'
import { chanceOf } from './chance.ts'
import type { FleetSize } from './fleet.ts'

/**
 * What the tills of some gateways tell while that fleet is at work: of each call what it came to at the caps on its way,
 * now and then that more is needed, and that they live. Each message is of one gateway, and its totals rise. Under load a
 * gateway tells of many calls at once; here each has a message of its own, which is the dearer case.
 */
const gateways = 4
/** Each beats every ten seconds; between two beats a thousand calls. */
const callsPerBeat = 1_000
/** A lease is asked for ahead, for some seconds of a node's calls. */
const callsPerAsk = 8
const callsPerRun = 12
const callNanoUsd = 400_000
const runCap: RunCap = { version: 0, limit_nano_usd: 2e9, opens_at: 0, closes_at: null }

const bornOf = (minted_by: Life) => ({
  cap: runCap,
  minted_by,
  birthright_nano_usd: birthrightOf(runCap.limit_nano_usd),
})

type Pocket = { readonly life: Life; readonly node: string; report: number; spent: number; ask: number }

/** `nodeOf`: the node of a scope in the window that runs. */
export function* openTills(
  { agents, liveRuns }: FleetSize,
  nodeOf: (scope: string) => string,
): Generator<LedgerMessage> {
  const chance = chanceOf(11)
  const lives = Array.from({ length: gateways }, (_, n): Life => ({ gateway: `gateway-${n}`, epoch: 1 }))
  const pockets = new Map<string, Pocket>()
  const pocketAt = (life: Life, node: string): Pocket => {
    const key = `${life.gateway} ${node}`
    const known = pockets.get(key)
    if (known !== undefined) return known
    const pocket = { life, node, report: 0, spent: 0, ask: 0 }
    pockets.set(key, pocket)
    return pocket
  }
  const report = (pocket: Pocket, isRun: boolean): LeaseReport => {
    pocket.spent += callNanoUsd
    return {
      ...(isRun ? bornOf(pocket.life) : {}),
      node: pocket.node,
      report: ++pocket.report,
      spent_nano_usd: pocket.spent,
      beyond_nano_usd: 0,
      returned_nano_usd: 0,
      held_nano_usd: callNanoUsd,
    }
  }
  const ask = (pocket: Pocket): LedgerMessage => ({
    type: 'lease.requested',
    ...pocket.life,
    node: pocket.node,
    ask: ++pocket.ask,
    needs_nano_usd: 0,
    wants_nano_usd: pocket.spent + callNanoUsd * 2 * callsPerAsk,
    asked_nano_usd: 0,
  })

  function* tell(life: Life, scopes: readonly string[]): Generator<LedgerMessage> {
    const reports: LeaseReport[] = []
    for (const scope of scopes) {
      const isRun = scope.startsWith('run:')
      const pocket = pocketAt(life, isRun ? scope : nodeOf(scope))
      // A run lives by what it was born with.
      if (!isRun && pocket.report % callsPerAsk === 0) yield ask(pocket)
      reports.push(report(pocket, isRun))
    }
    yield { type: 'lease.settled', ...life, reports }
  }
  const lifeAt = (n: number): Life => lives[n % gateways] as Life // one of each remainder
  const above = (agent: number) => [`agent:agent-${agent}`, `team:team-${agent % 20}`, 'org']

  for (let agent = 0; agent < agents; agent++) yield* tell(lifeAt(agent), above(agent))
  for (let call = 0; ; call++) {
    if (call % callsPerBeat === 0)
      for (const life of lives) yield { type: 'gateway.heartbeat', ...life, beat: call / callsPerBeat }
    const slot = chance.below(liveRuns)
    const generation = Math.floor(call / (liveRuns * callsPerRun))
    const agent = (slot + generation * liveRuns) % agents
    yield* tell(lifeAt(slot), [`run:run-${generation}-${slot}/life`, ...above(agent)])
  }
}
