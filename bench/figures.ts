/** One number of the report. */
export type Figure = {
  readonly name: string
  readonly value: number | string
  /** `ms`, `requests/s`, `MB`, … Empty for what is no quantity. */
  readonly unit: string
  /** What it should be, where that is agreed. */
  readonly goal?: { readonly text: string; readonly met: boolean }
  /** What was done to get it, where the name does not say. */
  readonly note?: string
}

export const atMost = (value: number, most: number, unit: string): Pick<Figure, 'value' | 'unit' | 'goal'> => ({
  value,
  unit,
  goal: { text: `≤ ${most} ${unit}`.trimEnd(), met: value <= most },
})
export const atLeast = (value: number, least: number, unit: string): Pick<Figure, 'value' | 'unit' | 'goal'> => ({
  value,
  unit,
  goal: { text: `≥ ${least} ${unit}`.trimEnd(), met: value >= least },
})

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The smallest value that at least this share of all does not exceed. */
export const percentile = (sorted: ArrayLike<number>, share: number): number =>
  sorted.length === 0 ? Number.NaN : (sorted[Math.max(Math.ceil(sorted.length * share) - 1, 0)] ?? Number.NaN)

/** Three digits are more than a shared machine can vouch for. */
export const rounded = (value: number): number =>
  Number.isFinite(value) ? Number(Math.abs(value) >= 1_000 ? value.toFixed(0) : value.toPrecision(3)) : value

export const lineOf = (figure: Figure): string => {
  const value = typeof figure.value === 'number' ? rounded(figure.value).toLocaleString('en-GB') : figure.value
  const goal = figure.goal === undefined ? '' : `   goal ${figure.goal.text}: ${figure.goal.met ? 'met' : 'MISSED'}`
  const note = figure.note === undefined ? '' : `   (${figure.note})`
  return `  ${figure.name.padEnd(46)} ${`${value} ${figure.unit}`.trim().padStart(18)}${goal}${note}`
}
