import { refusal } from './exception.ts'
import { lex, type Token } from './lexer.ts'

/** What the outside of a statement says, found without understanding its inside. */
export type Statement = {
  readonly text: string
  readonly tokens: readonly Token[]
  readonly doubt?: string
  /** The first word, upper case; `(` for a statement in parentheses. */
  readonly opening: string
  /** Up to a trailing `FORMAT x`, or to the end. */
  readonly body: string
  readonly format?: string
  /** What stood after `FORMAT x`: a SETTINGS clause or nothing. */
  readonly tail: string
  readonly settings: readonly SettingClause[]
}

export type SettingClause = readonly { readonly name: string; readonly value: string }[]

/** Throws SYNTAX_ERROR for an empty text and for a second statement. */
export function readStatement(sql: string): Statement {
  const { tokens, doubt } = lex(sql)
  const last = tokens.findIndex(token => isMark(token, ';'))
  const own = last < 0 ? tokens : tokens.slice(0, last)
  if (last >= 0 && tokens.slice(last).some(token => !isMark(token, ';'))) {
    throw refusal('SYNTAX_ERROR', `Syntax error (Multi-statements are not allowed): failed at position ${last + 1}`)
  }
  const [first] = own
  if (first === undefined)
    throw refusal('SYNTAX_ERROR', 'Syntax error: failed at position 1 (end of query): Empty query')
  const text = sql.slice(0, own.at(-1)?.end)
  const format = trailingFormat(own)
  return {
    text,
    tokens: own,
    ...(doubt === undefined ? {} : { doubt }),
    opening: first.kind === 'word' || first.kind === 'mark' ? first.value.toUpperCase() : '',
    body: format === undefined ? text : text.slice(0, format.start),
    ...(format === undefined ? {} : { format: format.name }),
    tail: format === undefined ? '' : text.slice(format.end),
    settings: settingClauses(own),
  }
}

export const isMark = (token: Token | undefined, mark: string): boolean =>
  token?.kind === 'mark' && token.value === mark
export const isWord = (token: Token | undefined, word: string): boolean =>
  token?.kind === 'word' && token.value.toUpperCase() === word

/** `… FORMAT name [SETTINGS …]`, outside parentheses. `format(…)` the function and columns named so are not it. */
function trailingFormat(tokens: readonly Token[]): { start: number; end: number; name: string } | undefined {
  let depth = 0
  for (let index = tokens.length - 2; index > 0; index -= 1) {
    const token = tokens[index]
    if (isMark(token, ')')) depth += 1
    if (isMark(token, '(')) depth -= 1
    const name = tokens[index + 1]
    const after = tokens[index + 2]
    if (depth !== 0 || !isWord(token, 'FORMAT') || isMark(tokens[index - 1], '.')) continue
    if (token === undefined || name === undefined || (name.kind !== 'word' && name.kind !== 'name')) continue
    if (after !== undefined && !isWord(after, 'SETTINGS')) continue
    return { start: token.start, end: name.end, name: name.value }
  }
  return undefined
}

/** Every `SETTINGS a = 1, b = 'x'`, however deep. */
function settingClauses(tokens: readonly Token[]): readonly SettingClause[] {
  return tokens.flatMap((token, index) => {
    if (!isWord(token, 'SETTINGS')) return []
    const clause = readClause(tokens, index + 1)
    return clause.length === 0 ? [] : [clause]
  })
}

function readClause(tokens: readonly Token[], start: number): SettingClause {
  const clause: { name: string; value: string }[] = []
  let at = start
  for (;;) {
    const name = tokens[at]
    if (name === undefined || (name.kind !== 'word' && name.kind !== 'name') || !isMark(tokens[at + 1], '='))
      return clause
    at += 2
    let value = ''
    // A sign and a fraction are tokens of their own.
    while (
      isMark(tokens[at], '-') ||
      isMark(tokens[at], '.') ||
      (value === '' && at < tokens.length) ||
      tokens[at]?.kind === 'number'
    ) {
      value += tokens[at]?.value ?? ''
      at += 1
      if (tokens[at - 1]?.kind !== 'mark' && tokens[at - 1]?.kind !== 'number') break
    }
    clause.push({ name: name.value, value })
    if (!isMark(tokens[at], ',')) return clause
    at += 1
  }
}
