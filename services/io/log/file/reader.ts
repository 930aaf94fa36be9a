import fs from 'node:fs'
import { promisify } from 'node:util'
import type { Fault } from '../../fault.ts'
import { decodeRecord, frameBytesNeeded, maxRecordBytes } from '../codec.ts'
import type { Batch, LogRecord, Partition, Reading } from '../port.ts'
import { damaged } from './fault.ts'
import { isMissing, listSegments, segmentFile, watermarkFile } from './place.ts'
import { walk } from './walk.ts'
import { getWatermark, type Watermark } from './watermark.ts'

const readAsync = promisify(fs.read)

/** A batch is what one read gave: large enough to be bound by the disk, small enough for a follower's event loop. */
const readBytes = 512 * 1024
/** Tiny records must not make a batch of tens of thousands. */
const batchRecords = 2_000
/**
 * Up to this, what is new is read at once: it was just written, so it lies in the page cache and takes microseconds,
 * where the thread pool takes a hundred. A reader that is further behind reads through the pool.
 */
const syncReadBytes = 64 * 1024

type Open = { readonly fd: number; readonly base: number; readonly ino: number; at: number }

/**
 * One reader of one partition, in any process. It takes no part in what the writer does: it stops at the high-water
 * mark, holds the file that it reads while that is deleted or rewritten, and then looks up by offset where to go on.
 */
export class PartitionReader {
  readonly at: Partition
  readonly #dir: string
  readonly #onFault: (fault: Fault) => void
  /** Null: each read has memory of its own. */
  #memory: Buffer | null
  #next: number
  #watermark: number | null = null
  #mark: Watermark | null = null
  #open: Open | null = null

  constructor(
    at: Partition,
    dir: string,
    next: number,
    options: Reading & { readonly onFault: (fault: Fault) => void },
  ) {
    this.at = at
    this.#dir = dir
    this.#next = next
    this.#onFault = options.onFault
    this.#memory = options.overwritten === true ? Buffer.alloc(0) : null
  }

  /** Everything below was delivered. */
  get next(): number {
    return this.#next
  }

  /** The next records, or null where there are none below the high-water mark. */
  async read(): Promise<Batch | null> {
    for (;;) {
      const before = this.#look()
      if (before === null || this.#next >= before.end) return null
      const open = this.#segment(before)
      if (open === null) {
        // Nothing is left on disk below the mark: deleted, or lost and told so by recovery.
        this.#next = before.end
        return null
      }
      // Once more: a segment is rewritten only after the mark has left it. If the mark is still in the one that is now
      // open, this is the file whose bytes the mark counts.
      const mark = this.#look() ?? before
      const records = await this.#readFrom(open, limitOf(open, mark))
      if (records.length > 0) return { ...this.at, records, end: mark.end }
    }
  }

  #look(): Watermark | null {
    if (this.#watermark === null) {
      try {
        this.#watermark = fs.openSync(watermarkFile(this.#dir), 'r')
      } catch (error) {
        if (isMissing(error)) return null
        throw error
      }
    }
    this.#mark = getWatermark(this.#watermark) ?? this.#mark
    return this.#mark
  }

  /** The segment that has the next record, or would have; null where there is none below the mark any more. */
  #segment(mark: Watermark): Open | null {
    const open = this.#open
    if (open !== null && open.at < limitOf(open, mark)) return open
    // Between the listing and the opening a segment may be deleted or be merged into the one before it.
    for (let tries = 0; tries < 10; tries++) {
      const bases = listSegments(this.#dir).filter(base => base <= mark.base)
      const holding = Math.max(
        0,
        bases.findLastIndex(base => base <= this.#next),
      )
      let gone = false
      for (const base of bases.slice(holding, holding + 2)) {
        const found = this.#tryOpen(base)
        if (found === null) {
          gone = true
          break
        }
        // Read to its end already: then the next one has what comes, unless this one was rewritten since.
        if (open !== null && found.ino === open.ino && found.base === open.base) {
          fs.closeSync(found.fd)
          continue
        }
        this.#release()
        this.#open = found
        return found
      }
      if (!gone) return null
    }
    throw damaged(this.#dir, 'segments vanish faster than they can be opened')
  }

  #tryOpen(base: number): Open | null {
    try {
      const fd = fs.openSync(segmentFile(this.#dir, base), 'r')
      return { fd, base, ino: fs.fstatSync(fd).ino, at: 0 }
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }

  /** Reads on in a segment; empty where a whole window held nothing new. */
  async #readFrom(open: Open, limit: number): Promise<LogRecord[]> {
    let wanted = readBytes
    for (;;) {
      const size = Math.min(wanted, limit - open.at)
      const bytes = this.#room(size)
      const read =
        size <= syncReadBytes
          ? fs.readSync(open.fd, bytes, 0, size, open.at)
          : (await readAsync(open.fd, bytes, 0, size, open.at)).bytesRead
      const records: LogRecord[] = []
      const last = read < size || open.at + read === limit || size >= 2 * maxRecordBytes
      const walked = walk(bytes, read, { next: this.#next, damage: 'skip', last }, (window, at, frame) => {
        if (records.length === batchRecords) return false
        records.push(decodeRecord(window, at, frame))
        return true
      })
      if (walked.skipped > 0) {
        const where = `${segmentFile(this.#dir, open.base)}, ${walked.skipped} bytes near ${open.at}`
        this.#onFault(damaged(where, `passed over before offset ${walked.next}`))
      }
      open.at += read === 0 ? limit - open.at : walked.done
      this.#next = walked.next
      if (records.length > 0 || walked.done > 0 || read === 0) return records
      wanted = Math.max(wanted * 2, frameBytesNeeded(bytes, 0, read))
    }
  }

  #room(size: number): Buffer {
    if (this.#memory === null) return Buffer.allocUnsafe(size)
    if (this.#memory.length < size) this.#memory = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#memory.length))
    return this.#memory
  }

  #release(): void {
    if (this.#open !== null) fs.closeSync(this.#open.fd)
    this.#open = null
  }

  /** Not while a `read` is under way. */
  close(): void {
    this.#release()
    if (this.#watermark !== null) fs.closeSync(this.#watermark)
    this.#watermark = null
  }
}

/** How far a segment may be read: to the mark where that is in it, else it is closed and all of it. */
const limitOf = (open: Open, mark: Watermark): number =>
  open.base === mark.base ? mark.bytes : fs.fstatSync(open.fd).size
