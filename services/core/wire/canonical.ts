/**
 * JSON with one spelling: sorted keys, no white space. Two values that mean the same have the same text, whichever
 * language wrote them. `leaveOut` names keys that come and go without changing what is meant.
 */
export function canonical(value: unknown, leaveOut: ReadonlySet<string> = nothing): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value) text += text === '' ? canonical(item, leaveOut) : `,${canonical(item, leaveOut)}`
    return `[${text}]`
  }
  for (const key of inOrder(Object.keys(value))) {
    const member = (value as Readonly<Record<string, unknown>>)[key] // an object has the keys that it says it has
    if (member === undefined || leaveOut.has(key)) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonical(member, leaveOut)}`
  }
  return `{${text}}`
}

/** Few keys, or keys that stand in order, are sorted faster by hand. By code units, as `sort` does. */
function inOrder(keys: string[]): readonly string[] {
  if (keys.length > 12) return keys.sort()
  for (let n = 1; n < keys.length; n++) {
    const key = keys[n] as string // n < length, as are those below
    let at = n
    for (; at > 0 && (keys[at - 1] as string) > key; at--) keys[at] = keys[at - 1] as string
    keys[at] = key
  }
  return keys
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
