import { isUtf8 } from 'node:buffer'
import { stringEnd } from '../core/wire/json-spans.ts'
import { textOf } from '../io/fault.ts'

/** A body as JSON, or why it is none in words for the client. */
export function readJson(body: Buffer): { readonly value: unknown } | { readonly unreadable: string } {
  if (body.length === 0) return { unreadable: 'The request has no body; expected a JSON object.' }
  if (!isUtf8(body)) return { unreadable: 'The body is not valid UTF-8.' }
  if (tooDeep(body)) return { unreadable: `The body nests deeper than ${deepest} levels.` }
  try {
    return { value: JSON.parse(body.toString('utf8')) }
  } catch (error) {
    return { unreadable: `The body is not valid JSON: ${textOf(error).slice(0, 200)}` }
  }
}

/**
 * Far deeper than any schema or tool's argument. The parser itself has no such limit: 32 MiB of brackets would keep it busy
 * for seconds, and everybody else waiting, and fill most of a gigabyte.
 */
const deepest = 500

/** Looks at brackets outside of strings alone. */
function tooDeep(body: Buffer): boolean {
  if (brackets(body) <= deepest) return false
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === quote) {
      at = stringEnd(body, at, body.length) - 1
      if (at < 0) return false // it ends within a text: no JSON, which the parser says
    } else if (byte === openBracket || byte === openBrace) {
      if (++depth > deepest) return true
    } else if (byte === closeBracket || byte === closeBrace) depth--
  }
  return false
}

/** How many brackets open at most: most bodies have too few to be deep, and counting is the cheaper look. */
function brackets(body: Buffer): number {
  let count = 0
  for (let at = 0; at < body.length; at++) if (((body[at] as number) & 0xdf) === openBracket) count++ // `{` has one bit more
  return count
}

const quote = 0x22
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
