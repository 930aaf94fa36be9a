/** What a model wrote, piece by piece. */
export type Output = {
  /** A text: of the answer, of its reasoning, a call's name or arguments. */
  readonly add: (text: string) => void
  /** A tool call begins, around which the provider bills this many tokens of markup. */
  readonly call: (markup: number) => void
}

/**
 * How much a model has written, while it streams: UTF-8 bytes of text, exactly, and tokens, estimated so that the estimate
 * does not fall below what was streamed. It stands in where a provider says nothing: it may be too high (by a quarter on
 * English, by more on JSON), and is never used where the provider's own count is known. What is not shown (reasoning,
 * tools at the provider) cannot be in it.
 *
 * The estimate is the largest of three: a quarter of the bytes; the pieces of the text, cut where tokenizers cut; and the
 * number of chunks with content, for a chunk carries at least one token. To that comes the markup around a message and
 * around each tool call, which is billed and never seen.
 */
export type OutputSize = Output & { readonly bytes: () => number; readonly tokens: () => number }

export function outputSize(): OutputSize {
  let bytes = 0
  let tokens = 0
  let markup = 0
  return {
    add(text) {
      if (text === '') return
      bytes += utf8Bytes(text)
      tokens += Math.max(1, piecesOf(text))
    },
    call(around) {
      markup += around
    },
    bytes: () => bytes,
    tokens() {
      const shown = Math.max(Math.ceil(bytes / 4), tokens)
      return shown + markup === 0 ? 0 : shown + markup + aroundMessage
    },
  }
}

/** As seen where providers count one word as up to five tokens. */
const aroundMessage = 4

/** Tokens of a text that is seen whole. */
export const tokensOf = (text: string): number => Math.max(Math.ceil(utf8Bytes(text) / 4), piecesOf(text))

/**
 * Pieces as tokenizers make them, counted generously: a word of up to five letters is one and each five more another; a
 * digit is one (some tokenizers never join them); two marks are one; a run of white space is one, but for the single space
 * before a word, which belongs to the word; a character of two bytes is one, of three one and a half, of four three.
 */
export function piecesOf(text: string): number {
  let halves = 0
  let kind = none
  let run = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const next = code < 0x80 ? (kinds[code] as number) : wide // the table has 128 entries
    if (next !== kind) {
      halves += ended(kind, run)
      kind = next
      run = 0
    }
    run++
    if (code < 0x80) continue
    // Both halves of a surrogate pair come by here: three tokens in all.
    halves += code < 0x800 ? 2 : 3
  }
  return Math.ceil((halves + ended(kind, run)) / 2)
}

const none = 0
const letter = 1
const digit = 2
const space = 3
const mark = 4
const lineBreak = 5
const wide = 6

const kinds = Uint8Array.from({ length: 128 }, (_, code) => {
  const char = String.fromCharCode(code)
  if (/[A-Za-z]/.test(char)) return letter
  if (/[0-9]/.test(char)) return digit
  if (/[\n\r]/.test(char)) return lineBreak
  return /\s/.test(char) ? space : mark
})

/** What a run of one kind is worth, in half tokens. */
function ended(kind: number, run: number): number {
  if (kind === letter) return 2 * Math.ceil(run / 5)
  if (kind === digit) return 2 * run
  if (kind === space) return run === 1 ? 0 : 2
  if (kind === mark) return 2 * Math.ceil(run / 2)
  return kind === lineBreak ? 2 : 0
}

/** Short texts are the rule in streams, and for them a call into the runtime costs more than the counting. */
function utf8Bytes(text: string): number {
  if (text.length > 64) return Buffer.byteLength(text)
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    // Of a surrogate pair each half counts two; a half alone is written as three.
    if (code >= 0xd800 && code <= 0xdfff) {
      const paired = code < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00
      bytes += 2
      if (paired) i++
      continue
    }
    bytes += code < 0x800 ? 1 : 2
  }
  return bytes
}
