/** Looking into JSON of unknown shape: every answer is a value or nothing, and nothing throws. */

export function get(value: unknown, key: string): unknown {
  // A value that is an object, by the check before, can be asked for any key.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
}

export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** A text that says something, else null. */
export const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

/** A number of tokens, calls or the like; what is none is nothing. */
export const count = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined

export const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

/** The parsed text; undefined where it is no JSON. */
export function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}
