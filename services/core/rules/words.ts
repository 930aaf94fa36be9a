import { markOf } from './mark.ts'

/** The different words of a text, as rising numbers: enough to tell how much two texts have in common. */
export type Words = readonly number[]

const limits = {
  /** Characters that are read, and words that are kept: a wish is told in its first paragraph. */
  characters: 2_000,
  words: 128,
  /** Of the characters of a text in words so many, in a hundred, may be those of code. */
  codeSigns: 3,
}
const codeSigns = new Set([...'{}[]()=<>|;$`_\\#*@^~&'].map(sign => sign.charCodeAt(0)))

/**
 * The words of what was asked in words: the longest text among the arguments that reads like sentences and has at least
 * `minWords`. Null where there is none. Code, paths and queries are no such text: one edit resembles the next by nature,
 * and says nothing of whether there is progress.
 */
export function wordsIn(args: string, minWords: number): Words | null {
  let longest = ''
  for (const text of textsIn(args)) if (text.length > longest.length && isProse(text, minWords)) longest = text
  return longest === '' ? null : wordsOf(longest)
}

/** What share of all words of both they have in common. */
export function alike(a: Words, b: Words): number {
  let common = 0
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const [x = 0, y = 0] = [a[i], b[j]]
    if (x === y) common++
    if (x <= y) i++
    if (y <= x) j++
  }
  return common === 0 ? 0 : common / (a.length + b.length - common)
}

/** All strings of JSON; a text that is none is one. A preview that was cut gives up those that are whole. */
function textsIn(args: string): readonly string[] {
  const text = args.slice(0, limits.characters)
  if (!/^\s*[{["]/.test(text)) return [text]
  try {
    return stringsOf(JSON.parse(text))
  } catch {
    return Array.from(text.matchAll(/"((?:[^"\\]|\\.)+)/g), ([, inner = '']) => inner.replace(/\\[nrt]/g, ' '))
  }
}

function stringsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsOf) : []
}

function isProse(text: string, minWords: number): boolean {
  let signs = 0
  let words = 0
  let within = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (codeSigns.has(code)) signs++
    const isBlank = code <= 32
    if (isIdeograph(code) || (within && isBlank)) words++
    within = !isBlank
  }
  return words + (within ? 1 : 0) >= minWords && signs * 100 <= text.length * limits.codeSigns
}

function wordsOf(text: string): Words {
  const words = new Set<number>()
  for (const [word] of text.toLowerCase().matchAll(/[\u3040-\u9fff\uac00-\ud7af]|[\p{L}\p{N}]+/gu)) {
    words.add(markOf(word) % 0x100000000)
    if (words.size === limits.words) break
  }
  return [...words].sort((a, b) => a - b)
}

/** Where words are not set apart by blanks, each character is one. */
const isIdeograph = (code: number): boolean => code >= 0x3040 && code <= 0xd7af
