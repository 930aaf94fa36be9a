import fs from 'node:fs'
import { promisify } from 'node:util'
import { Fault } from '../../fault.ts'
import { unavailable } from './fault.ts'
import { listSegments, segmentFile, syncDir } from './place.ts'
import type { Resumed } from './recover.ts'
import { openWatermark, putWatermark } from './watermark.ts'

const fdatasync = promisify(fs.fdatasync)

/**
 * Between two group commits. Each costs a sixth of a millisecond of CPU, in the thread pool, and wakes every reader. A
 * record that comes after a quiet moment does not wait. Where each commit finds records that have waited for it, the
 * pause doubles: readers are some milliseconds later, and there are a hundred commits a second instead of a thousand,
 * however little each of them covers. Where callers wait for the disk, they wait less.
 */
const commitPauseMs = 1
const busyPauseMs = 10
const awaitedPauseMs = 2

/**
 * The end of a partition, where its writer writes.
 *
 * Writing is synchronous: a `write` to the page cache takes microseconds, less than handing it to the thread pool would
 * take of this very thread, and its tail is shorter by a factor of ten where the pool is busy. `fdatasync` runs in the
 * pool, one at a time, and covers all that was written before it began.
 */
export class Tail {
  readonly #dir: string
  readonly #segmentBytes: number
  readonly #busyPauseMs: number
  readonly #lingerMs: number
  readonly #onDurable: () => void
  readonly #onSettled: () => void
  readonly #onBroken: (fault: Fault) => void
  readonly #watermark: number
  #fd: number
  #base: number
  #bytes: number
  /** The offset after the last record written. */
  #next: number
  #durable: number
  #closedBytes = 0
  #settledBase: number
  /** Closed since the last group commit, and not yet synced; they come first in the next one. */
  #retired: number[] = []
  /** Set where a failed write could not be taken back: until it is, nothing may be written behind the rubbish. */
  #dirty = false
  #broken: Fault | null = null
  /** When the last group commit ended (`performance.now`), and how long the pause after it is. */
  #endedAt = Number.NEGATIVE_INFINITY
  #pauseMs = commitPauseMs
  /** When the first record was written that no group commit covers, and whether somebody waits for it. */
  #waitingSince: number | null = null
  #isHurried = false
  #syncing: Promise<void> | null = null
  #pause: NodeJS.Timeout | null = null
  #closing = false

  constructor(
    dir: string,
    resumed: Resumed,
    options: {
      readonly segmentBytes: number
      /** Appends are called back only when the disk has them. */
      readonly awaited: boolean
      /** For so long a group commit waits for more records; not where it is awaited. */
      readonly lingerMs: number
      readonly onDurable: () => void
      /** `settledBase` has moved: there may be something to clear. */
      readonly onSettled: () => void
      readonly onBroken: (fault: Fault) => void
    },
  ) {
    this.#dir = dir
    this.#segmentBytes = options.segmentBytes
    this.#busyPauseMs = options.awaited ? awaitedPauseMs : busyPauseMs
    this.#lingerMs = options.awaited ? 0 : options.lingerMs
    this.#onDurable = options.onDurable
    this.#onSettled = options.onSettled
    this.#onBroken = options.onBroken
    this.#base = resumed.base
    this.#settledBase = resumed.base
    this.#bytes = resumed.bytes
    this.#next = resumed.next
    this.#durable = resumed.next
    this.#fd = fs.openSync(segmentFile(dir, resumed.base), fs.constants.O_RDWR | fs.constants.O_CREAT)
    this.#watermark = openWatermark(dir)
    this.recount()
  }

  /** What recovery found becomes readable only when it is surely on disk. Resolves then. */
  async begin(): Promise<void> {
    await fdatasync(this.#fd)
    await syncDir(this.#dir)
    putWatermark(this.#watermark, { end: this.#next, base: this.#base, bytes: this.#bytes })
    await fdatasync(this.#watermark)
  }

  get next(): number {
    return this.#next
  }
  get durable(): number {
    return this.#durable
  }
  get broken(): Fault | null {
    return this.#broken
  }
  /** Bytes of the partition on disk. */
  get bytes(): number {
    return this.#closedBytes + this.#bytes
  }
  get closedBytes(): number {
    return this.#closedBytes
  }
  /** Segments below are closed, and no high-water mark speaks of them, on this disk or in any reader: they may be cleared. */
  get settledBase(): number {
    return this.#settledBase
  }

  /** Looks again which closed segments there are, after some were deleted or rewritten. */
  recount(): void {
    const closed = listSegments(this.#dir).filter(base => base < this.#base)
    this.#closedBytes = closed.reduce((sum, base) => sum + fs.statSync(segmentFile(this.#dir, base)).size, 0)
  }

  /** Writes whole records, the last of which has offset `next` − 1, all or none of them. */
  write(records: Buffer, next: number): void {
    if (this.#broken !== null) throw this.#broken
    try {
      if (this.#dirty) this.#takeBack()
      if (this.#bytes > 0 && this.#bytes + records.length > this.#segmentBytes) this.#roll()
      for (let done = 0; done < records.length; ) {
        done += fs.writeSync(this.#fd, records, done, records.length - done, this.#bytes + done)
      }
    } catch (error) {
      this.#dirty = true
      try {
        this.#takeBack()
      } catch {
        // Tried again before the next write.
      }
      throw unavailable(error)
    }
    this.#bytes += records.length
    this.#next = next
    this.#waitingSince ??= performance.now()
    this.#commit()
  }

  /** Somebody waits for what was written: its group commit waits for no more. */
  hurry(): void {
    this.#isHurried = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#pause = null
    this.#commit(true)
  }

  #takeBack(): void {
    fs.ftruncateSync(this.#fd, this.#bytes)
    this.#dirty = false
  }

  #roll(): void {
    const fd = fs.openSync(segmentFile(this.#dir, this.#next), 'wx+')
    this.#closedBytes += this.#bytes
    this.#retired.push(this.#fd)
    this.#fd = fd
    this.#base = this.#next
    this.#bytes = 0
  }

  /** Starts a group commit unless one is under way or due. `waited`: records have waited for this one. */
  #commit(waited = false): void {
    if (this.#syncing !== null || this.#pause !== null || this.#broken !== null || this.#durable === this.#next) return
    const from = this.#waitingSince ?? 0
    const due = this.#isHurried
      ? this.#endedAt + commitPauseMs
      : Math.max(this.#endedAt + this.#pauseMs, from + this.#lingerMs)
    const pauseMs = this.#closing ? 0 : due - performance.now()
    if (pauseMs > 0) {
      this.#pause = setTimeout(() => {
        this.#pause = null
        this.#commit(true)
      }, pauseMs)
      return
    }
    this.#pauseMs = waited ? Math.min(2 * this.#pauseMs, this.#busyPauseMs) : commitPauseMs
    this.#syncing = this.#sync().then(
      () => {
        this.#syncing = null
        this.#endedAt = performance.now()
        this.#commit()
      },
      error => {
        this.#syncing = null
        // What was written is now in doubt for good: the kernel reports a lost page once, and a second fdatasync that
        // succeeds would say nothing. So it is never tried again.
        this.#broken = new Fault('log_broken', 'The log could not be written to disk.', { cause: error })
        this.#onBroken(this.#broken)
        this.#onDurable()
      },
    )
  }

  async #sync(): Promise<void> {
    const reached = { end: this.#next, base: this.#base, bytes: this.#bytes }
    this.#waitingSince = null
    this.#isHurried = false
    const fd = this.#fd
    // As it is now: `fd` itself may be closed for new records, and retired, while this goes on.
    const retired = this.#retired.splice(0)
    for (const old of retired) {
      await fdatasync(old)
      fs.closeSync(old)
    }
    await fdatasync(fd)
    if (retired.length > 0) await syncDir(this.#dir) // the new segment's name
    putWatermark(this.#watermark, reached)
    this.#durable = reached.end
    this.#onDurable()
    if (retired.length > 0) {
      // Then recovery never has far to scan, and never looks for a segment that was cleared away.
      await fdatasync(this.#watermark)
      this.#settledBase = reached.base
      this.#onSettled()
    }
  }

  /** Syncs without a pause and closes the files. Does not throw: who was waiting has been told by `onBroken`. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.#pause !== null) clearTimeout(this.#pause)
    this.#pause = null
    while (this.#broken === null && (this.#syncing !== null || this.#durable !== this.#next)) {
      this.#commit()
      await this.#syncing
    }
    await this.#syncing
    if (this.#broken === null) await fdatasync(this.#watermark).catch(() => {}) // only spares the next start a scan
    for (const fd of [...this.#retired, this.#fd, this.#watermark]) fs.closeSync(fd)
  }
}
