/**
 * ClickHouse's tokens, as far as it takes to know where a name is a name and where it is text: quotes with both
 * kinds of escape, identifiers in backticks and double quotes, `--` and `#` and nested comments, heredocs. What a
 * careful reader and the engine could take differently is reported as `doubt`, and a gate may refuse it unread.
 */
export type Token = {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'mark'
  /** A word as written, a quoted name or text without its quotes, one punctuation character. */
  readonly value: string
  readonly start: number
  readonly end: number
}

export type Lexed = { readonly tokens: readonly Token[]; readonly doubt?: string }

const isSpace = (c: string) => c === ' ' || (c >= '\t' && c <= '\r')
const isDigit = (c: string) => c >= '0' && c <= '9'
const isWord = (c: string) => isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c === '_'
const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0', b: '\b', f: '\f' }

export function lex(sql: string): Lexed {
  const tokens: Token[] = []
  const doubts: string[] = []
  let at = 0
  while (at < sql.length) {
    const c = sql.charAt(at)
    const next = sql.charAt(at + 1)
    if (isSpace(c)) {
      at += 1
    } else if ((c === '-' && next === '-') || (c === '#' && (next === ' ' || next === '!'))) {
      const newline = sql.indexOf('\n', at)
      at = newline < 0 ? sql.length : newline + 1
    } else if (c === '/' && next === '*') {
      at = endOfComment(sql, at, doubts)
    } else if (c === "'" || c === '"' || c === '`') {
      const quoted = readQuoted(sql, at, c, doubts)
      tokens.push({ kind: c === "'" ? 'text' : 'name', value: quoted.value, start: at, end: quoted.end })
      at = quoted.end
    } else if (c === '$') {
      const end = endOfHeredoc(sql, at)
      if (end === undefined) doubts.push('a dollar sign outside quotes')
      tokens.push({ kind: end === undefined ? 'mark' : 'text', value: '$', start: at, end: end ?? at + 1 })
      at = end ?? at + 1
    } else if (startsNumber(c, next, tokens.at(-1))) {
      const end = endOfNumber(sql, at, tokens.at(-1))
      tokens.push({ kind: 'number', value: sql.slice(at, end), start: at, end })
      at = end
    } else if (isWord(c)) {
      const token = readWord(sql, at, doubts)
      tokens.push(token)
      at = token.end
    } else {
      if (c < ' ' || c > '~' || c === '\\' || c === '#')
        doubts.push(`the character ${JSON.stringify(c)} outside quotes`)
      tokens.push({ kind: 'mark', value: c, start: at, end: at + 1 })
      at += 1
    }
  }
  const [doubt] = doubts
  return doubt === undefined ? { tokens } : { tokens, doubt }
}

/** Comments nest. */
function endOfComment(sql: string, start: number, doubts: string[]): number {
  let depth = 0
  let at = start
  while (at < sql.length) {
    const pair = sql.slice(at, at + 2)
    if (pair === '/*') depth += 1
    if (pair === '*/') depth -= 1
    at += pair === '/*' || pair === '*/' ? 2 : 1
    if (depth === 0) return at
  }
  doubts.push('a comment that does not end')
  return sql.length
}

function readQuoted(sql: string, start: number, quote: string, doubts: string[]): { value: string; end: number } {
  let value = ''
  let at = start + 1
  while (at < sql.length) {
    const c = sql.charAt(at)
    if (c === '\\') {
      const escaped = sql.charAt(at + 1)
      value += escapes[escaped] ?? escaped
      at += 2
    } else if (c !== quote) {
      value += c
      at += 1
    } else if (sql.charAt(at + 1) === quote) {
      value += quote
      at += 2
    } else {
      return { value, end: at + 1 }
    }
  }
  doubts.push('a quote that does not end')
  return { value, end: sql.length }
}

/** `$tag$ … $tag$`, the tag of word characters or empty. */
function endOfHeredoc(sql: string, start: number): number | undefined {
  let at = start + 1
  while (at < sql.length && isWord(sql.charAt(at))) at += 1
  if (sql.charAt(at) !== '$') return undefined
  const tag = sql.slice(start, at + 1)
  const close = sql.indexOf(tag, at + 1)
  return close < 0 ? undefined : close + tag.length
}

function readWord(sql: string, start: number, doubts: string[]): Token {
  let end = start
  while (end < sql.length && (isWord(sql.charAt(end)) || sql.charAt(end) === '$')) end += 1
  const value = sql.slice(start, end)
  const quoted = sql.charAt(end) === "'" && /^[xXbB]$/.test(value)
  if (quoted) {
    // x'41' and b'0101' end at the first quote: nothing is escaped in them.
    const close = sql.indexOf("'", end + 1)
    const content = close < 0 ? undefined : sql.slice(end + 1, close)
    if (content === undefined || !/^[0-9a-fA-F]*$/.test(content))
      doubts.push('a hexadecimal literal with other characters')
    return { kind: 'text', value: content ?? '', start, end: close < 0 ? sql.length : close + 1 }
  }
  if (value.includes('$')) doubts.push('a dollar sign in a name')
  return { kind: 'word', value, start, end }
}

function startsNumber(c: string, next: string, before: Token | undefined): boolean {
  const operand = before !== undefined && (before.kind !== 'mark' || before.value === ')' || before.value === ']')
  return isDigit(c) || (c === '.' && isDigit(next) && !operand)
}

/** After a dot a number is an element of a tuple (`t.1.2`) and has no fraction of its own. */
function endOfNumber(sql: string, start: number, before: Token | undefined): number {
  const element = before?.kind === 'mark' && before.value === '.'
  const shape = element ? /\w+/y : /0[xX]\w*|0[bB]\w*|[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?\w*/y
  shape.lastIndex = start
  return start + Math.max(shape.exec(sql)?.[0].length ?? 0, 1)
}
