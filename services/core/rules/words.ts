/** The different words of a text, as rising whole numbers of 32 bits: enough to tell how much two texts have in common. */
export type Words = readonly number[]

const limits = {
  /** Characters that are read, and words that are kept: a wish is told in its first paragraph. */
  characters: 2_000,
  words: 128,
  /** Of the characters of a text in words so many, in a hundred, may be those of code. */
  codeSigns: 3,
}
const codeSigns = new Uint8Array(0x10000)
for (const sign of '{}[]()=<>|;$`_\\#*@^~&') codeSigns[sign.charCodeAt(0)] = 1

/**
 * The words of what was asked in words: the longest text among the arguments that reads like sentences and has at least
 * `minWords`. Null where there is none. Code, paths and queries are no such text: one edit resembles the next by nature,
 * and says nothing of whether there is progress.
 */
export function wordsIn(args: string, minWords: number): Words | null {
  const end = Math.min(args.length, limits.characters)
  if (!/^\s*[{["]/.test(args)) return isProse(args, 0, end, minWords) ? wordsOf(args, 0, end) : null
  let [from, to] = [0, 0]
  // The strings of JSON as they are written: what reads like sentences reads so with its escapes.
  for (let at = args.indexOf('"'); at >= 0 && at < end; ) {
    let close = at + 1
    while (close < end && args.charCodeAt(close) !== quote) close += args.charCodeAt(close) === backslash ? 2 : 1
    close = Math.min(close, end)
    if (close - at - 1 > to - from && isProse(args, at + 1, close, minWords)) [from, to] = [at + 1, close]
    at = args.indexOf('"', close + 1)
  }
  return to === from ? null : wordsOf(args, from, to)
}

const quote = 34
const backslash = 92

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

function isProse(text: string, from: number, to: number, minWords: number): boolean {
  let signs = 0
  let words = 0
  let within = false
  for (let i = from; i < to; i++) {
    let code = text.charCodeAt(i)
    if (code === backslash) code = escaped(text.charCodeAt(++i))
    if (codeSigns[code] === 1) signs++
    const isBlank = code <= 32
    if (isIdeograph(code) || (within && isBlank)) words++
    within = !isBlank
  }
  return words + (within ? 1 : 0) >= minWords && signs * 100 <= (to - from) * limits.codeSigns
}

/** Letters and digits in a row are a word, whatever their case; one that is not of ASCII is a letter. */
function wordsOf(text: string, from: number, to: number): Words {
  const words = new Set<number>()
  let word = 0
  for (let i = from; i <= to && words.size < limits.words; i++) {
    let code = i < to ? text.charCodeAt(i) : 32
    if (code === backslash) code = escaped(text.charCodeAt(++i))
    if (code >= 65 && code <= 90) code += 32
    const isLetter = (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code > 127
    const isAlone = isIdeograph(code)
    if (word !== 0 && (!isLetter || isAlone)) {
      words.add(word)
      word = 0
    }
    if (isAlone) words.add(Math.imul(code, 0x9e3779b1))
    else if (isLetter) word = Math.imul(word ^ code ^ 0x5bd1e995, 0x01000193) | 1
  }
  return [...words].sort((a, b) => a - b)
}

/** What stands behind a backslash: white space, or the sign itself. */
const escaped = (code: number): number => (code === 110 || code === 116 || code === 114 ? 32 : code)

/** Where words are not set apart by blanks, each character is one. */
const isIdeograph = (code: number): boolean => code >= 0x3040 && code <= 0xd7af
