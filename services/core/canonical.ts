/**
 * JSON with one spelling: sorted keys, no white space. Two values that mean the same have the same text, whichever
 * language wrote them. `leaveOut` names keys that come and go without changing what is meant.
 */
export function canonical(value: unknown, leaveOut: ReadonlySet<string> = nothing): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null'
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value) text += text === '' ? canonical(item, leaveOut) : `,${canonical(item, leaveOut)}`
    return `[${text}]`
  }
  for (const key of Object.keys(value).sort()) {
    const member = (value as Readonly<Record<string, unknown>>)[key] // an object has the keys that it says it has
    if (member === undefined || leaveOut.has(key)) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonical(member, leaveOut)}`
  }
  return `{${text}}`
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
