import prometheus from 'prom-client'
import type { TillFigures } from './till.ts'

/** What a gateway tells Prometheus of money. Sums over nodes: a node of each would be a label for each run. */
export function registerMoney(registry: prometheus.Registry, figures: () => TillFigures): void {
  const registers = [registry]
  const gauge = (name: string, help: string, read: (figures: TillFigures) => number) =>
    new prometheus.Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(figures()))
      },
    })
  gauge('sluice_budget_calls_waiting', 'Calls that wait for money.', figures => figures.waiting)
  gauge('sluice_budget_calls_holding', 'Calls under way for which money is held.', figures => figures.holding)
  gauge('sluice_budget_held_usd', 'Held for calls under way, summed over the caps they pass.', figures =>
    usd(figures.heldNanoUsd),
  )
  gauge('sluice_budget_leased_usd', 'Lent to this gateway and not spent, summed over caps.', figures =>
    usd(figures.leasedNanoUsd),
  )
  gauge('sluice_budget_spent_usd', 'Spent by this life of the gateway, summed over caps.', figures =>
    usd(figures.spentNanoUsd),
  )
  gauge('sluice_budget_leases', 'Caps of which this gateway has a lease.', figures => figures.leases)
  gauge(
    'sluice_budget_idlest_lease_seconds',
    'For how long the idlest lease has not been used.',
    figures => figures.idlestLeaseMs / 1000,
  )
  gauge(
    'sluice_budget_term_seconds',
    'For how long money may be spent if nothing is heard any more.',
    figures => figures.termMs / 1000,
  )
  gauge(
    'sluice_bound_violations',
    'Calls for which a provider billed more than they could cost at most; must be 0.',
    figures => figures.boundViolations,
  )
  gauge(
    'sluice_hold_overruns',
    'Calls that cost more than was held for them, where that was learned: holds: learned.',
    figures => figures.overruns,
  )
}

const usd = (nano: number): number => nano / 1e9
