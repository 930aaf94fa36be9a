import { eachMember, textOf } from '../../core/wire/json-spans.ts'

/** Up to here a document is parsed whole: some tens of milliseconds of the event loop at the very most. */
const maxParsedBytes = 4 * 1024 * 1024

/**
 * A JSON document from its bytes; undefined where it is none. Members that are `bulk`, and those of huge documents that
 * are huge themselves, are passed over and stand as null: a vector of three thousand numbers says nothing of its cost.
 */
export function documentOf(bytes: Buffer, bulk: readonly string[]): unknown {
  if (bulk.length === 0 && bytes.length <= maxParsedBytes) return parsed(bytes, 0, bytes.length)
  const members: [string, unknown][] = []
  let broken = false
  const whole = eachMember(bytes, undefined, (keyStart, keyEnd, start, end) => {
    const key = textOf(bytes, keyStart, keyEnd)
    const value = bulk.includes(key) || end - start > maxParsedBytes ? null : parsed(bytes, start, end)
    if (value === undefined) broken = true
    members.push([key, value])
  })
  return whole && !broken ? Object.fromEntries(members) : undefined
}

function parsed(bytes: Buffer, start: number, end: number): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    return undefined
  }
}
