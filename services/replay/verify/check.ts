/**
 * What one comparison has found. It is filled while the log is read, so it is changed in place; of the differences the
 * first ones are kept in words, for nobody reads more, and all are counted.
 */
export type Check = {
  readonly name: string
  /** What is compared, in the plural: `records`, `caps`. */
  readonly of: string
  compared: number
  /** Begun and not ended: on its way, and no difference. */
  inFlight: number
  differences: number
  readonly first: Difference[]
  /** What could not be compared, and why. `matters`: without it nobody can say that all is equal. */
  readonly left: { readonly what: string; readonly matters: boolean }[]
}

/** `where`: an event id, or a topic, partition and offset, or a file. */
export type Difference = { readonly where: string; readonly what: string }

/** A screenful; whoever has more has one cause for them. */
export const differencesKept = 20

export const openCheck = (name: string, of: string): Check => ({
  name,
  of,
  compared: 0,
  inFlight: 0,
  differences: 0,
  first: [],
  left: [],
})

export function differ(check: Check, where: string, what: string): void {
  check.differences += 1
  if (check.first.length < differencesKept) check.first.push({ where, what })
}

export const leave = (check: Check, what: string, matters = false): void => void check.left.push({ what, matters })

export type Verdict = 'equal' | 'different' | 'not compared'

/** A difference that was found outweighs what could not be looked at. */
export function verdictOf(checks: readonly Check[]): Verdict {
  if (checks.some(check => check.differences > 0)) return 'different'
  return checks.some(check => check.left.some(({ matters }) => matters)) ? 'not compared' : 'equal'
}

export const placeOf = (at: { readonly topic: string; readonly partition: number }, offset: number): string =>
  `${at.topic}/${at.partition}@${offset}`
