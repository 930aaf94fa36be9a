/** JSON of unknown shape, read without throwing: what is not there or is something else reads as empty. */
export type Json = Readonly<Record<string, unknown>>

export const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
export const record = (value: unknown): Json => (isRecord(value) ? value : {})
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
export const records = (value: unknown): readonly Json[] => list(value).filter(isRecord)
export const text = (value: unknown): string => (typeof value === 'string' ? value : '')
export const wholeNumber = (value: unknown): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null

/** A content that is a string, or a list of parts of which some have a `text`. */
export const plainText = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : list(content)
        .map(part => (typeof part === 'string' ? part : text(record(part).text)))
        .filter(part => part !== '')
        .join('\n')

/** Deeper values are hostile: `JSON.stringify` would run out of stack on them. */
const DEEPEST = 500

export const shallow = (value: unknown): boolean => {
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value, depth: 1 }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next.value !== 'object' || next.value === null) continue
    if (next.depth > DEEPEST) return false
    for (const inner of Object.values(next.value)) open.push({ value: inner, depth: next.depth + 1 })
  }
  return true
}

/** JSON inside a text; null where it is none, or nests too deeply. */
export const parsed = (json: unknown): unknown => {
  try {
    const value: unknown = typeof json === 'string' ? JSON.parse(json) : null
    return shallow(value) ? value : null
  } catch {
    return null
  }
}
