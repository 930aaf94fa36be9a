import { createHash } from 'node:crypto'

/** Twelve hex digits of the SHA-256 of a value: whatever says the same has the same. */
export const versionOf = (value: unknown): string =>
  createHash('sha256').update(canonical(value)).digest('hex').slice(0, 12)

/** JSON with sorted keys. Lists keep their order, and so do tables under chosen names: of globs the first match counts. */
function canonical(value: unknown): string {
  // A list of texts, such as all objects of a policy, has no keys to sort.
  if (Array.isArray(value) && value.every(inner => typeof inner === 'string')) return JSON.stringify(value)
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof Map) return [...inner]
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
