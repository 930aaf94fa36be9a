import type { Chance } from '../../test/support/chance.ts'

/** One promise that is shown, not told. A new one is a file and a line in `promises.ts`. */
export type Promised = {
  readonly name: string
  /** As a user would say it. */
  readonly says: string
  /** Throws where it could not be tried; that is a broken promise too. */
  readonly show: (trial: Trial) => Promise<readonly Shown[]>
}

export type Trial = {
  /** A look: smaller and shorter. */
  readonly quick: boolean
  /** A Kafka may be started for it, or is given. */
  readonly kafka: boolean
  readonly chance: Chance
  /** Undone in reverse order when the promise was shown, whatever came of it. */
  readonly after: (undo: () => unknown) => void
  /** Details that are no figure, for whoever wonders. */
  readonly note: (what: string, detail: unknown) => void
}

/** A line of the table. */
export type Shown = {
  readonly done: string
  readonly figure: string
  /** Null: could not be shown here; the figure says why. */
  readonly holds: boolean | null
}

export const shown = (done: string, figure: string, holds: boolean): Shown => ({ done, figure, holds })
export const notShown = (done: string, why: string): Shown => ({ done, figure: why, holds: null })

/** Exact, as the books have it. */
export const usd = (nano: number): string => `$${(nano / 1e9).toFixed(9).replace(/0{1,6}$/, '')}`
export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
