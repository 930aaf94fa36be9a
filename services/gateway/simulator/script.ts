import type { Knobs } from './knobs.ts'
import { digest } from './seed.ts'
import type { Piece, Problem } from './wire.ts'

/** Everything that goes out, and when: the timing shell adds nothing of its own. */
export type Script = {
  readonly status: number
  /** Name, value, name, value. */
  readonly headers: readonly string[]
  readonly pieces: Iterable<Piece>
  /** Before the head, and between pieces. */
  readonly delayMs: number
  readonly intervalMs: number
  /** Where the answer does not come to its end: after so many pieces it breaks off or falls silent. 0 is before the head. */
  readonly breaks: { readonly after: number; readonly how: 'cut' | 'stall' } | null
}

export const json = (status: number, value: unknown, more: readonly string[] = []): Script => {
  const body = JSON.stringify(value)
  const headers = ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body))]
  headers.push('x-request-id', `req_${digest(body)}`, ...more)
  return { status, headers, pieces: [body], delayMs: 0, intervalMs: 0, breaks: null }
}

export const refusal = (problem: Problem, status: number, message: string): Script =>
  json(status, problem(status, message))

export const scriptedError = (problem: Problem, knobs: Knobs, status: number): Script => {
  const wait = knobs.retryAfterS === null ? [] : ['retry-after', String(knobs.retryAfterS)]
  return { ...json(status, problem(status, 'The simulator was asked to answer so.'), wait), delayMs: knobs.delayMs }
}

export const timing = (knobs: Knobs): Pick<Script, 'delayMs' | 'intervalMs' | 'breaks'> => ({
  delayMs: knobs.delayMs,
  intervalMs: knobs.intervalMs,
  breaks:
    knobs.cutAfter !== null
      ? { after: knobs.cutAfter, how: 'cut' }
      : knobs.stallAfter !== null
        ? { after: knobs.stallAfter, how: 'stall' }
        : null,
})

/** A body that is to break off has to have a middle. */
export const halved = (script: Script, knobs: Knobs): Script => {
  const timed = timing(knobs)
  if (timed.breaks === null) return { ...script, ...timed }
  const whole = [...script.pieces].join('')
  const half = Math.ceil(whole.length / 2)
  const breaks = { ...timed.breaks, after: Math.min(timed.breaks.after, 1) }
  return { ...script, ...timed, breaks, pieces: [whole.slice(0, half), whole.slice(half)] }
}

export function* failing(pieces: Iterable<Piece>, after: number, failure: (first: boolean) => Piece): Iterable<Piece> {
  let count = 0
  for (const piece of pieces) {
    if (count >= after) break
    yield piece
    count++
  }
  yield failure(count === 0)
}
