import { roomForReaders } from '../services/supervisor/plan.ts'
import { atLeast, type Figure, median, rounded } from './figures.ts'
import type { FleetSize } from './folding/fleet.ts'
import type { Folded, Folding } from './folding.ts'
import type { Measurement } from './measurement.ts'
import { startPart } from './processes.ts'

/** What one core has to fold in a second, however many there are to keep apart. */
const leastPerSecond = 50_000
const fleets: readonly (FleetSize & { readonly name: string })[] = [
  { name: '10 agents, 50 live runs', agents: 10, liveRuns: 50 },
  { name: '100,000 agents, 10,000 live runs', agents: 100_000, liveRuns: 10_000 },
]

/**
 * How many events the enforcer folds in a second of CPU: read from the log, checked, and put before all rules and stops,
 * under the default breakers. Beside it what gateways say of money.
 */
export const enforcer: Measurement = {
  name: 'enforcer',
  needs: 'proxy',
  run: async ({ quick }) => {
    const figures: Figure[] = []
    for (const what of ['events', 'ledger'] as const)
      for (const { name, ...size } of fleets) {
        // A process each: one fleet's memory must not be the other's to sweep.
        const part = await startPart<Folding, Folded>('folding.ts', [], roomForReaders)
        try {
          const folded = await part.ask({ what, ...size, perRound: quick ? 50_000 : 200_000, rounds: quick ? 3 : 5 })
          figures.push(figureOf(`${what}: ${name}`, folded, what === 'events'))
        } finally {
          await part.stop()
        }
      }
    return figures
  },
}

function figureOf(name: string, { usEach, bytesEach, heapMb, rssMb, decisions }: Folded, hasGoal: boolean): Figure {
  const usMedian = median(usEach)
  const perSecond = 1e6 / usMedian
  const rounds = usEach.map(us => rounded(us)).join(', ')
  return {
    name,
    ...(hasGoal ? atLeast(perSecond, leastPerSecond, 'per CPU second') : { value: perSecond, unit: 'per CPU second' }),
    note: `${rounded(usMedian)} µs each (rounds: ${rounds}), ${Math.round(bytesEach)} bytes; heap ${rounded(heapMb)} MB, resident ${rounded(rssMb)} MB; ${decisions} decisions`,
  }
}
