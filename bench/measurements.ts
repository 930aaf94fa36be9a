import { enforcer } from './enforcer.ts'
import { idle, loaded } from './footprint.ts'
import { freshness } from './freshness.ts'
import { guards } from './guards.ts'
import { latency } from './latency.ts'
import { lineage } from './lineage.ts'
import type { Measurement } from './measurement.ts'
import { stored } from './stored.ts'
import { streaming } from './streaming.ts'
import { throughput } from './throughput.ts'

/** In the order in which they are taken. `idle` comes before any load, `stored` and `loaded` after all of it. */
export const measurements: readonly Measurement[] = [
  idle,
  throughput,
  latency,
  streaming,
  freshness,
  lineage,
  enforcer,
  guards,
  stored,
  loaded,
]
