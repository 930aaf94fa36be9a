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
