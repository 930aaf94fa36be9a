import { Fault } from '../../io/fault.ts'
import type { Answer, Exchange, Upstream, UpstreamRequest } from '../upstream/upstream.ts'
import { answerOf } from './answer.ts'
import type { Script } from './script.ts'

/**
 * The built-in provider: it speaks every protocol, needs no key and no network, and answers the same request with
 * the same bytes. Model `simulator`, or any name that begins so; its tokens are words and marks.
 *
 * Tools: `call <tool>` in the last user message, a `tool_choice` that forces one, or a marker. The arguments are valid
 * for the tool's schema as far as that is simple; a tool's result is answered in words. A JSON Schema asked for as the
 * answer's format is answered with a valid example.
 *
 * Markers stand in the last user message, `[[key=value key=value]]`, several if need be:
 *
 * - `tokens=50` length of the answer · `say="these words"` the answer itself · `chunk=4` tokens in one chunk of a stream
 * - `tool=get_weather args={"city":"Paris"}` calls it with these arguments; several markers call in parallel;
 *   `then` in a marker begins the next turn, `repeat=10` calls the same in ten turns: `[[tool=a]] [[then tool=b repeat=3]]`
 * - `delay=200` milliseconds before the first byte · `interval=20` between chunks
 * - `status=429 retry-after=2` an error answer in the protocol's shape · `error=3` the protocol's error event after three chunks
 * - `cut=3` the connection breaks after three chunks (of a body without a stream: in its middle), `cut=0` before the head
 * - `stall=3` silence after three chunks, until the caller's timeout · `usage=none` says nothing about usage
 * - `input=1000 cached=400 reasoning=64` states these tokens (cached inside input, reasoning inside output)
 *
 * A background answer of Responses keeps nothing in memory: its id tells the text, tools and formats are not carried.
 * What the simulator costs stands in the configuration, with every other provider's prices.
 */
export const simulator: Upstream = {
  send: (request, answer) => perform(answerOf(request), request, answer),
}

/** Pieces in one go where no interval is asked for: the other requests of this process must get their turn. */
const PIECES_AT_ONCE = 16

/** Plays a script against the clock. One timer at most is open, and none after `abort`. */
const perform = (script: Script, request: UpstreamRequest, answer: Answer): Exchange => {
  const pieces = script.pieces[Symbol.iterator]()
  let played = 0
  let begun = false
  let paused = false
  let over = false
  let cancel = (): void => {}

  const after = (ms: number, act: () => void): void => {
    if (ms > 0) {
      const timer = setTimeout(act, ms)
      cancel = () => clearTimeout(timer)
    } else {
      const turn = setImmediate(act)
      cancel = () => clearImmediate(turn)
    }
  }
  /** A wait that the caller bounds. */
  const within = (ms: number, act: () => void): void => {
    if (request.timeoutMs > 0 && ms > request.timeoutMs)
      after(request.timeoutMs, () => close(timeout(request.timeoutMs)))
    else if (Number.isFinite(ms)) after(ms, act)
  }
  const close = (fault: Fault | null): void => {
    if (over) return
    over = true
    cancel()
    if (fault === null) answer.end()
    else answer.fail(fault)
  }
  const broken = (): boolean => {
    if (script.breaks === null || played < script.breaks.after) return false
    if (script.breaks.how === 'cut') close(new Fault('upstream_reset', 'The simulator broke off.', { retriable: true }))
    else within(Number.POSITIVE_INFINITY, () => {})
    return true
  }
  const play = (): void => {
    for (let i = 0; i < PIECES_AT_ONCE; i++) {
      if (over || broken()) return
      if (!begun) {
        begun = true
        answer.head(script.status, script.headers)
        if (over) return
      }
      const piece = pieces.next()
      if (piece.done === true) {
        close(null)
        return
      }
      played++
      paused = !answer.data(typeof piece.value === 'string' ? Buffer.from(piece.value) : piece.value)
      if (over || paused) return
      if (script.intervalMs > 0) break
    }
    within(script.intervalMs, play)
  }

  // Never inside `send`: the caller has no exchange yet to abort.
  within(script.delayMs, play)
  return {
    resume: () => {
      if (!paused || over) return
      paused = false
      within(script.intervalMs, play)
    },
    abort: () => {
      over = true
      cancel()
    },
  }
}

const timeout = (ms: number): Fault =>
  new Fault('upstream_timeout', `The simulator sent nothing for ${ms} ms.`, { retriable: true })
