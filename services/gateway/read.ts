import { isUtf8 } from 'node:buffer'
import { textOf } from '../io/fault.ts'

/** A body as JSON, or why it is none in words for the client. */
export function readJson(body: Buffer): { readonly value: unknown } | { readonly unreadable: string } {
  if (body.length === 0) return { unreadable: 'The request has no body; expected a JSON object.' }
  if (!isUtf8(body)) return { unreadable: 'The body is not valid UTF-8.' }
  try {
    return { value: JSON.parse(body.toString('utf8')) }
  } catch (error) {
    // Too deep a nesting is a RangeError of the parser: also the client's doing.
    return { unreadable: `The body is not valid JSON: ${textOf(error).slice(0, 200)}` }
  }
}
