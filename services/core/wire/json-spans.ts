/**
 * Where the values of a JSON object stand in its bytes. What we change in a request (a model's name, one option) is
 * changed there and nowhere else; everything around it stays as the client wrote it: spaces, escapes, order.
 *
 * The text has been parsed before, so the scanner checks no more than it needs to find its way; on text that is no object
 * it finds nothing, and never throws. It is linear in the text and allocates one small string for each top-level key.
 */
export type Span = { readonly start: number; readonly end: number }

/** Keys to look for, as bytes, by their length. */
export type Wanted = readonly (readonly Key[] | undefined)[]
type Key = { readonly name: string; readonly bytes: Buffer; readonly bit: number }

/** At most 30 keys, of ASCII letters and `_`. */
export function wanted(...names: readonly string[]): Wanted {
  const byLength: Key[][] = []
  for (const [n, name] of names.entries()) {
    byLength[name.length] ??= []
    byLength[name.length]?.push({ name, bytes: Buffer.from(name), bit: 1 << n })
  }
  return byLength
}

/**
 * A wanted key that stands twice at the top level, in whatever spelling: escaped, or in other letters, which some parsers
 * take for the same. Readers differ in which of the two values they believe, so a policy cannot hold for such a text.
 */
export function twiceIn(bytes: Buffer, keys: Wanted, within?: Span): string | null {
  let seen = 0
  let twice: string | null = null
  eachMember(bytes, within, (keyStart, keyEnd) => {
    const key = find(bytes, keyStart, keyEnd, keys)
    if (key === null) return
    if ((seen & key.bit) !== 0) twice ??= key.name
    seen |= key.bit
  })
  return twice
}

/** Where the value of `name` stands in the object; `absent`, or null where the text is no whole object. */
export function memberSpan(bytes: Buffer, name: string, within?: Span): Span | 'absent' | null {
  const keys = wanted(name)
  let span: Span | 'absent' = 'absent'
  const whole = eachMember(bytes, within, (keyStart, keyEnd, start, end) => {
    if (span !== 'absent') return
    const key = find(bytes, keyStart, keyEnd, keys)
    if (key !== null && textOf(bytes, keyStart, keyEnd) === name) span = { start, end }
  })
  return whole ? span : null
}

/** The wanted key that stands at `start`, be it escaped or in other letters. */
function find(bytes: Buffer, start: number, end: number, keys: Wanted): Key | null {
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number // at < end ≤ length
    if (byte === backslash || byte >= 0x80) return findOdd(textOf(bytes, start, end), keys)
  }
  const candidates = keys[end - start]
  if (candidates === undefined) return null
  for (const key of candidates) if (equals(bytes, start, key.bytes)) return key
  return null
}

function equals(bytes: Buffer, start: number, key: Buffer): boolean {
  for (let i = 0; i < key.length; i++) {
    const byte = bytes[start + i] as number // as long as the key
    const own = key[i] as number
    if ((byte | 0x20) !== (own | 0x20)) return false
  }
  return true
}

/** Go's parser takes `ſ` for `s` as well. */
function findOdd(text: string, keys: Wanted): Key | null {
  const folded = text.toUpperCase().toLowerCase()
  return keys[folded.length]?.find(key => key.name.toLowerCase() === folded) ?? null
}

/**
 * The bytes with the value at `path` replaced by `json`, or inserted as the first member where there is none. The same
 * bytes where the path leads through something that is no object.
 */
export function withMember(bytes: Buffer, path: readonly string[], json: string): Buffer {
  let within: Span | undefined
  for (const [depth, key] of path.entries()) {
    const span = memberSpan(bytes, key, within)
    if (span === null) return bytes
    if (span === 'absent') return inserted(bytes, within, path.slice(depth), json)
    within = span
  }
  return within === undefined ? bytes : spliced(bytes, within, json)
}

/** The bytes with what stands in `span` replaced by `text`. */
export function spliced(bytes: Buffer, span: Span, text: string): Buffer {
  return Buffer.concat([bytes.subarray(0, span.start), Buffer.from(text), bytes.subarray(span.end)])
}

function inserted(bytes: Buffer, within: Span | undefined, path: readonly string[], json: string): Buffer {
  const open = skipSpace(bytes, within?.start ?? 0, bytes.length) + 1
  const empty = bytes[skipSpace(bytes, open, bytes.length)] === closeBrace
  const keys = path.map(key => JSON.stringify(key)).join(':{')
  const member = `${keys}:${json}${'}'.repeat(path.length - 1)}`
  return spliced(bytes, { start: open, end: open }, empty ? member : `${member},`)
}

/** Calls `visit` for each member of the object: its key between the quotes, its value. False where the text is no whole object. */
export function eachMember(
  bytes: Buffer,
  within: Span | undefined,
  visit: (keyStart: number, keyEnd: number, start: number, end: number) => void,
): boolean {
  const end = within?.end ?? bytes.length
  let at = skipSpace(bytes, within?.start ?? 0, end)
  if (bytes[at] !== openBrace) return false
  at = skipSpace(bytes, at + 1, end)
  if (bytes[at] === closeBrace) return skipSpace(bytes, at + 1, end) === end
  for (;;) {
    if (bytes[at] !== quote) return false
    const keyEnd = stringEnd(bytes, at, end)
    if (keyEnd < 0) return false
    const keyStart = at + 1
    at = skipSpace(bytes, keyEnd, end)
    if (bytes[at] !== colon) return false
    const start = skipSpace(bytes, at + 1, end)
    const valueEnd = skipValue(bytes, start, end)
    if (valueEnd < 0) return false
    visit(keyStart, keyEnd - 1, start, valueEnd)
    at = skipSpace(bytes, valueEnd, end)
    if (bytes[at] === closeBrace) return skipSpace(bytes, at + 1, end) === end
    if (bytes[at] !== comma) return false
    at = skipSpace(bytes, at + 1, end)
  }
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

function skipSpace(bytes: Buffer, from: number, end: number): number {
  let at = from
  for (; at < end; at++) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
  }
  return at
}

/** A key's text as it reads. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  const raw = bytes.toString('utf8', start, end)
  if (!raw.includes('\\')) return raw
  try {
    return String(JSON.parse(`"${raw}"`))
  } catch {
    return raw
  }
}

/** Just behind the value that starts at `from`; -1 where it does not end. */
function skipValue(bytes: Buffer, from: number, end: number): number {
  const first = bytes[from]
  if (first === quote) return stringEnd(bytes, from, end)
  if (first === openBrace || first === openBracket) return nestEnd(bytes, from, end)
  let at = from
  for (; at < end; at++) {
    const byte = bytes[at] as number // at < end
    if (byte === comma || byte === closeBrace || byte === closeBracket || byte <= 0x20) break
  }
  return at === from ? -1 : at
}

function nestEnd(bytes: Buffer, from: number, end: number): number {
  let depth = 0
  for (let at = from; at < end; ) {
    const byte = bytes[at]
    if (byte === quote) {
      at = stringEnd(bytes, at, end)
      if (at < 0) return -1
      continue
    }
    if (byte === openBrace || byte === openBracket) depth++
    else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) return at + 1
    at++
  }
  return -1
}

/**
 * Just behind the string whose quote stands at `from`. Short strings are walked byte by byte; in long ones the next quote
 * is found natively, and the backslashes before it are counted.
 */
export function stringEnd(bytes: Buffer, from: number, end: number): number {
  let at = from + 1
  while (at < end) {
    const near = Math.min(at + 48, end)
    while (at < near) {
      const byte = bytes[at]
      if (byte === quote) return at + 1
      at += byte === backslash ? 2 : 1
    }
    if (at >= end) return -1
    const next = bytes.indexOf(quote, at)
    if (next < 0 || next >= end) return -1
    let before = next
    while (before > at && bytes[before - 1] === backslash) before--
    if ((next - before) % 2 === 0) return next + 1
    at = next + 1
  }
  return -1
}
