import type { Figure } from './figures.ts'
import type { Ground } from './ground.ts'

/** One thing that is measured. A new one is a file and a line in `measurements.ts`. */
export type Measurement = {
  readonly name: string
  /** Whether it can be had of any proxy, or only of the whole stack. */
  readonly needs: 'proxy' | 'stack'
  readonly run: (ground: Ground) => Promise<readonly Figure[]>
}
