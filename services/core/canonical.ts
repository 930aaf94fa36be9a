/**
 * JSON with one spelling: sorted keys, no white space. Two values that mean the same have the same text, whichever
 * language wrote them. `leaveOut` names keys that come and go without changing what is meant.
 */
export function canonical(value: unknown, leaveOut: ReadonlySet<string> = nothing): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(item => canonical(item, leaveOut)).join(',')}]`
  const members = Object.entries(value).filter(([key, member]) => member !== undefined && !leaveOut.has(key))
  members.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member, leaveOut)}`).join(',')}}`
}

/** Arguments as a model wrote them, canonical where they are JSON and as they are where not. */
export function canonicalText(json: string): string {
  try {
    return canonical(JSON.parse(json))
  } catch {
    return json
  }
}

const nothing: ReadonlySet<string> = new Set()
