import { frameBytes, isIntact, offsetAt } from '../codec.ts'

/**
 * How a walk over the bytes of a segment goes on where they are damaged:
 * - `stop`: above the high-water mark the first damage is the end, a torn write.
 * - `skip`: below it the record was confirmed and is lost, but not those behind it.
 */
export type Damage = 'stop' | 'skip'

export type Walked = {
  /** Bytes that are done with. The frame there is not whole in this window, or the visitor had enough. */
  readonly done: number
  /** The least offset that may come next. */
  readonly next: number
  /** Bytes that were passed over because they are damaged. */
  readonly skipped: number
  /** It ended at damage. */
  readonly stopped: boolean
}

/** Takes an intact frame whose offset is at least what was asked for; false: enough, this one is for later. */
export type Visit = (bytes: Buffer, at: number, frame: number, offset: number) => boolean

/** A damaged offset is told from a real one by its distance: no partition jumps so far between two records. */
const farOffset = 2 ** 32

/** Visits the frames of a window of bytes from `next` on. `last`: no bytes follow, so a part of a frame is damage. */
export function walk(
  bytes: Buffer,
  limit: number,
  options: { readonly next: number; readonly damage: Damage; readonly last: boolean },
  visit: Visit,
): Walked {
  let { next } = options
  let at = 0
  let skipped = 0
  while (at < limit) {
    const frame = frameBytes(bytes, at, limit)
    if (frame === 0 && !options.last) break
    if (frame > 0) {
      const offset = offsetAt(bytes, at)
      const intact = isIntact(bytes, at, frame)
      // Before what was asked for; an offset that is damaged may only look so, and that is told.
      if (intact && offset < next && options.damage === 'skip') {
        at += frame
        continue
      }
      if (intact && offset >= next) {
        if (!visit(bytes, at, frame, offset)) break
        at += frame
        next = offset + 1
        continue
      }
    }
    if (options.damage === 'stop') return { done: at, next, skipped, stopped: true }
    const found = findFrame(bytes, at + 1, limit, next, options.last)
    skipped += found - at
    at = found
  }
  return { done: at, next, skipped, stopped: false }
}

/** Where the next frame begins, or may begin if more bytes were known; `limit` where there is none. */
function findFrame(bytes: Buffer, from: number, limit: number, next: number, last: boolean): number {
  for (let at = from; at + 16 <= limit; at++) {
    const offset = offsetAt(bytes, at)
    if (offset < next - farOffset || offset > next + farOffset) continue
    const frame = frameBytes(bytes, at, limit)
    if (frame > 0 ? isIntact(bytes, at, frame) : frame === 0 && !last) return at
  }
  return last ? limit : Math.max(from, limit - 15)
}
