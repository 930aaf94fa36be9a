import { type QueryException, refusal } from './exception.ts'
import type { Functions } from './functions.ts'
import type { Token } from './lexer.ts'
import { isMark, isWord, type Statement } from './statement.ts'

/** INTO OUTFILE writes a file wherever it stands, also behind EXPLAIN. */
const fileWords = new Set(['OUTFILE', 'INFILE'])

export const denied = (what: string): QueryException =>
  refusal(
    'ACCESS_DENIED',
    `analyst: Not enough privileges. To execute this query, it's necessary to have access to ${what}`,
  )

/** The lexer's half of the gate: what a statement may not contain, wherever it stands. Throws. */
export function judgeText(
  functions: Functions,
  { doubt, tokens }: Statement,
  params: ReadonlyMap<string, string>,
): void {
  if (doubt !== undefined) throw refusal('SYNTAX_ERROR', `Syntax error: an analyst's statement may not have ${doubt}`)
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== 'word' && token.kind !== 'name') continue
    if (token.kind === 'word' && fileWords.has(token.value.toUpperCase())) {
      throw refusal('READONLY', `Cannot execute query in readonly mode. ${token.value.toUpperCase()} is not allowed`)
    }
    // The tree is read by lines.
    if (hasControl(token.value)) throw denied('a name with control characters')
    const before = tokens[index - 1]
    const holder = tokens[index - 2]
    const member = isMark(before, '.') && holder !== undefined && (holder.kind === 'word' || holder.kind === 'name')
    const substitution = isMark(before, '{') && isMark(tokens[index + 1], ':')
    if (substitution && isWord(tokens[index + 2], 'IDENTIFIER')) {
      const value = params.get(token.value) ?? ''
      if (!/^[\w. -]*$/.test(value)) throw denied(`an identifier like the parameter '${token.value}'`)
    }
    if (isWord(token, 'APPLY')) judgeApply(tokens.slice(index + 1))
    // A name is enough to call a function: arrayMap(file, …), * APPLY(file).
    if (!member && !substitution && functions.refused(token.value)) throw denied(`the function '${token.value}'`)
  }
}

/**
 * `* APPLY(name)`, `* APPLY(name(0.9))`, `* APPLY name`: the tree does not show what is applied. A lambda could read a
 * table by IN, so of what follows only a name and literals are taken.
 */
function judgeApply(rest: readonly Token[]): void {
  const enclosed = isMark(rest[0], '(')
  const [name, ...further] = enclosed ? insideParentheses(rest) : rest
  const isLambda = isMark(further[0], '-') && isMark(further[1], '>')
  const given = enclosed ? further : isMark(further[0], '(') ? insideParentheses(further) : []
  const literal = ({ kind, value }: Token) => kind === 'number' || kind === 'text' || '(),'.includes(value)
  const named = name !== undefined && (name.kind === 'word' || name.kind === 'name' || !enclosed)
  if (!named || isLambda || !given.every(literal)) throw denied('APPLY with an expression')
}

/** What stands between the first parenthesis and the one that closes it. */
function insideParentheses(tokens: readonly Token[]): readonly Token[] {
  let depth = 0
  for (const [index, token] of tokens.entries()) {
    if (isMark(token, '(')) depth += 1
    if (isMark(token, ')')) depth -= 1
    if (depth === 0) return tokens.slice(1, index)
  }
  return tokens.slice(1)
}

function hasControl(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) < 32) return true
  return false
}
