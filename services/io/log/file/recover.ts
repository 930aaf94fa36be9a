import fs from 'node:fs'
import type { Fault } from '../../fault.ts'
import { maxRecordBytes } from '../codec.ts'
import { damaged } from './fault.ts'
import { listSegments, segmentFile } from './place.ts'
import { type Damage, walk } from './walk.ts'
import type { Watermark } from './watermark.ts'

/** Where a writer goes on: in this segment, behind these bytes, with this offset. */
export type Resumed = { readonly base: number; readonly bytes: number; readonly next: number }

/**
 * Finds the end of a partition whose last writer may have died at any moment, and cuts off what that one was writing.
 *
 * All below the high-water mark was synced and is left alone. Above it, records are kept up to the first that is not
 * whole: after a kill -9 that is all that was acknowledged, for the page cache outlives the process; after a crash of
 * the machine it is what the kernel had written by itself. What is cut off was shown to nobody. Segments behind a cut are
 * set aside, not deleted, so that a log only ever loses its very end.
 */
export async function recover(dir: string, mark: Watermark | null, onFault: (fault: Fault) => void): Promise<Resumed> {
  for (const name of fs.readdirSync(dir)) if (name.endsWith('.seg.tmp')) fs.rmSync(`${dir}/${name}`)
  const known = mark ?? { end: 0, base: 0, bytes: 0 }
  const bases = listSegments(dir)
  const unsynced = bases.filter(base => base >= known.base)
  let at: Resumed = { base: unsynced[0] ?? known.end, bytes: 0, next: known.end }
  if (known.end > 0 && unsynced[0] !== known.base) onFault(damaged(segmentFile(dir, known.base), 'it is missing'))
  for (const [i, base] of unsynced.entries()) {
    const resumed = await endOf(segmentFile(dir, base), base === known.base ? known : { ...known, bytes: 0 })
    at = { base, bytes: resumed.end, next: Math.max(resumed.next, base, known.end) }
    if (base === known.base && resumed.end < known.bytes) {
      onFault(damaged(segmentFile(dir, base), `${resumed.end} bytes are left of ${known.bytes}`))
    }
    if (resumed.end === resumed.size) continue
    fs.truncateSync(segmentFile(dir, base), resumed.end)
    for (const later of unsynced.slice(i + 1)) fs.renameSync(segmentFile(dir, later), `${segmentFile(dir, later)}.cut`)
    break
  }
  return at
}

async function endOf(file: string, known: Watermark): Promise<{ end: number; next: number; size: number }> {
  const handle = await fs.promises.open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size >= known.bytes) {
      return { ...(await scan(handle, { from: known.bytes, to: size, next: known.end, damage: 'stop' })), size }
    }
    // Shorter than what was synced: look for whatever is left.
    return { ...(await scan(handle, { from: 0, to: size, next: 0, damage: 'skip' })), size }
  } finally {
    await handle.close()
  }
}

/** What is read at a time; large enough that a scan is bound by the disk. */
const windowBytes = 1024 * 1024

export type ScanVisit = (bytes: Buffer, at: number, frame: number, offset: number) => void
type Range = { readonly from: number; readonly to: number; readonly next: number; readonly damage: Damage }

/** Goes through a segment; answers the end of its last intact record and the offset after it. */
export async function scan(
  handle: fs.promises.FileHandle,
  range: Range,
  visit: ScanVisit = () => {},
): Promise<{ readonly end: number; readonly next: number; readonly skipped: number }> {
  let { from, next } = range
  let end = from
  let skipped = 0
  let wanted = windowBytes
  while (from < range.to) {
    const window = Buffer.allocUnsafe(Math.min(wanted, range.to - from))
    const { bytesRead } = await handle.read(window, 0, window.length, from)
    const last = bytesRead < window.length || from + bytesRead === range.to || bytesRead >= 2 * maxRecordBytes
    const start = from
    const walked = walk(window, bytesRead, { next, damage: range.damage, last }, (bytes, at, frame, offset) => {
      visit(bytes, at, frame, offset)
      end = start + at + frame
      return true
    })
    next = walked.next
    skipped += walked.skipped
    from += walked.done
    if (walked.stopped) break
    if (walked.done === 0) {
      if (last) break
      wanted *= 2
    } else wanted = windowBytes
  }
  return { end, next, skipped }
}
