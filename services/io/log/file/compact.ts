import fs from 'node:fs'
import { promisify } from 'node:util'
import { decodeRecord, keyAt, timeAt } from '../codec.ts'
import { listSegments, segmentFile, syncDir } from './place.ts'
import { type ScanVisit, scan } from './recover.ts'

const write = promisify(fs.write)
const fsync = promisify(fs.fsync)

/**
 * A tombstone (empty value) is kept this long after it was written, so that a reader which is behind learns of it before
 * it goes; the same day that Kafka grants.
 */
const tombstoneMs = 86_400_000
/** Keys are held in memory for the time of a compaction. A topic with more is no state of anything: it is left as it is. */
const maxKeys = 2_000_000

/**
 * Rewrites the closed segments of a partition so that each key's last record is left. Offsets stay, with holes between.
 * Neighbours that became small are merged.
 *
 * Each new segment takes the name of the first it replaces, by rename, and only then the others are deleted. A crash in
 * between leaves records in two files; readers go by offset and see them once. A reader in an old file reads it to its
 * end and finds by offset where to go on. Answers how many bytes are left of what was compacted, null where it was not.
 */
export async function compact(
  dir: string,
  options: { readonly active: number; readonly segmentBytes: number; readonly aborted: () => boolean },
): Promise<number | null> {
  const bases = listSegments(dir).filter(base => base < options.active)
  const last = new Map<string, number>()
  for (const base of bases) {
    await eachRecord(dir, base, 0, (bytes, at, _frame, offset) => {
      const key = keyAt(bytes, at)
      if (key !== null) last.set(key, offset)
    })
    if (options.aborted() || last.size > maxKeys) return null
  }

  let left = 0
  let next = 0
  let out: Rewrite | null = null
  try {
    for (const base of bases) {
      const kept: Buffer[] = []
      // From `next`: what a compaction that was broken off has left twice is taken once.
      next = await eachRecord(dir, base, next, (bytes, at, frame, offset) => {
        if (isKept(bytes, at, frame, offset, last)) kept.push(bytes.subarray(at, at + frame))
      })
      if (options.aborted()) return null
      const size = kept.reduce((sum, frame) => sum + frame.length, 0)
      if (out !== null && out.bytes + size > options.segmentBytes) {
        await out.finish()
        out = null
      }
      left += size
      out ??= new Rewrite(dir, base)
      await out.take(base, kept, size)
    }
    await out?.finish()
    out = null
    return left
  } finally {
    out?.drop()
  }
}

function isKept(bytes: Buffer, at: number, frame: number, offset: number, last: ReadonlyMap<string, number>): boolean {
  const { key, value } = decodeRecord(bytes, at, frame)
  if (key === null) return true
  return last.get(key) === offset && (value.length > 0 || timeAt(bytes, at) > Date.now() - tombstoneMs)
}

/** Answers the offset after the last record. */
async function eachRecord(dir: string, base: number, from: number, visit: ScanVisit): Promise<number> {
  const handle = await fs.promises.open(segmentFile(dir, base), 'r')
  try {
    const { size } = await handle.stat()
    return (await scan(handle, { from: 0, to: size, next: from, damage: 'skip' }, visit)).next
  } finally {
    await handle.close()
  }
}

/** One new segment in place of some old ones. */
class Rewrite {
  readonly #dir: string
  readonly #tmp: string
  readonly #fd: number
  readonly #replaced: number[] = []
  #replacedBytes = 0
  #youngest = new Date(0)
  bytes = 0

  constructor(dir: string, base: number) {
    this.#dir = dir
    this.#tmp = `${segmentFile(dir, base)}.tmp`
    this.#fd = fs.openSync(this.#tmp, 'w')
  }

  async take(base: number, kept: readonly Buffer[], size: number): Promise<void> {
    const { mtime, size: before } = fs.statSync(segmentFile(this.#dir, base))
    if (mtime > this.#youngest) this.#youngest = mtime
    this.#replaced.push(base)
    this.#replacedBytes += before
    this.bytes += size
    const together = Buffer.concat(kept, size)
    for (let done = 0; done < size; ) {
      done += (await write(this.#fd, together, done, size - done, null)).bytesWritten
    }
  }

  async finish(): Promise<void> {
    if (this.#replaced.length === 1 && this.bytes === this.#replacedBytes) return this.drop() // nothing to gain
    fs.futimesSync(this.#fd, this.#youngest, this.#youngest)
    await fsync(this.#fd)
    fs.closeSync(this.#fd)
    const [first, ...others] = this.#replaced.map(base => segmentFile(this.#dir, base))
    await fs.promises.rename(this.#tmp, first!)
    await syncDir(this.#dir)
    for (const other of others) await fs.promises.unlink(other)
  }

  drop(): void {
    fs.closeSync(this.#fd)
    fs.rmSync(this.#tmp, { force: true })
  }
}
