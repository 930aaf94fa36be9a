import { isRecord } from './json.ts'
import { numbers } from './seed.ts'

/** A word or a mark, with the white space before it. */
const TOKEN = /\s*(?:[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_])/gu

/** The simulator's tokens: words and marks. Joined they are the text again; white space alone is no token. */
export const tokensOf = (text: string): readonly string[] => {
  const tokens: string[] = text.match(TOKEN) ?? []
  const rest = text.slice(tokens.reduce((length, token) => length + token.length, 0))
  const last = tokens.pop()
  return last === undefined ? [] : [...tokens, last + rest]
}

/** The first tokens of a text. */
export const cutTo = (text: string, tokens: number): string => tokensOf(text).slice(0, tokens).join('')

/** Tokens in all texts of a JSON value, keys not counted. A stack of our own: a hostile body may nest deeper than calls can. */
export const countTokens = (value: unknown): number => {
  let count = 0
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next === 'string') count += next.match(TOKEN)?.length ?? 0
    else if (Array.isArray(next)) for (const item of next) open.push(item)
    else if (isRecord(next)) for (const key of Object.keys(next)) open.push(next[key])
  }
  return count
}

const WORDS =
  'a river does not ask the gate for leave it asks how wide and the keeper counts what passes in a book where each line is written once so that whoever comes later may read what was let through when by whom and at what price'.split(
    ' ',
  )

/** So many tokens of prose that follow from the seed. */
export const prose = (seed: string, tokens: number): string => {
  const next = numbers(seed)
  const words = ['Simulated', 'answer', seed.slice(0, 8), ':']
  while (words.length < tokens) words.push(WORDS[Math.floor(next() * WORDS.length)] ?? 'and')
  return words.slice(0, tokens).join(' ').replace(' :', ':')
}
