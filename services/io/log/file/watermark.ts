import fs from 'node:fs'
import { crc32 } from 'node:zlib'
import { getU64, putU64 } from '../codec.ts'
import { isMissing, watermarkFile } from './place.ts'

/**
 * The high-water mark of a partition: what is below it has been through fdatasync. The writer puts it after each group
 * commit, readers stop at it. Hence the guarantee: **an offset that any reader was shown never names other bytes**, also
 * after power is lost, when the records above the mark may be gone and their offsets are given again.
 *
 * The mark itself is not synced each time. After a crash of the machine it may be too low, which recovery corrects by
 * scanning from it; it is never too high, because it is written after the data it speaks of was synced. Where recovery
 * finds fewer records than the mark says, the disk has lost what it had confirmed: then the offsets below the mark are
 * not given again but left as a hole, and the fault is told.
 */
export type Watermark = {
  /** The offset after the last readable record. */
  readonly end: number
  /** The segment that ends there, and the bytes of it that may be read: what lies behind may still be taken back. */
  readonly base: number
  readonly bytes: number
}

/** One sector: written whole or not at all by any disk. */
const fileBytes = 32
const magic = 0x31574c53

/** Opens the file for `put`, and makes it durable at its size so that later puts cannot run out of space. */
export function openWatermark(dir: string): number {
  const file = watermarkFile(dir)
  try {
    return fs.openSync(file, 'r+')
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  const fd = fs.openSync(file, 'w+')
  fs.writeSync(fd, Buffer.alloc(fileBytes))
  fs.fsyncSync(fd)
  return fd
}

const outgoing = Buffer.alloc(fileBytes)
export function putWatermark(fd: number, mark: Watermark): void {
  outgoing.writeUInt32LE(magic, 0)
  putU64(outgoing, 8, mark.end)
  putU64(outgoing, 16, mark.base)
  putU64(outgoing, 24, mark.bytes)
  outgoing.writeUInt32LE(crc32(outgoing.subarray(8)), 4)
  fs.writeSync(fd, outgoing, 0, fileBytes, 0)
}

const incoming = Buffer.alloc(fileBytes)
/** Null: nothing was put yet, or this was read while it was written; then the next look will do. */
export function getWatermark(fd: number): Watermark | null {
  if (fs.readSync(fd, incoming, 0, fileBytes, 0) < fileBytes || incoming.readUInt32LE(0) !== magic) return null
  if (crc32(incoming.subarray(8)) !== incoming.readUInt32LE(4)) return null
  return { end: getU64(incoming, 8), base: getU64(incoming, 16), bytes: getU64(incoming, 24) }
}

/** For a single look. */
export function readWatermark(dir: string): Watermark | null {
  let fd: number
  try {
    fd = fs.openSync(watermarkFile(dir), 'r')
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
  try {
    // A reader can meet a put half done; a few looks are enough, a put takes a microsecond.
    for (let look = 0; look < 5; look++) {
      const mark = getWatermark(fd)
      if (mark !== null) return mark
    }
    return null
  } finally {
    fs.closeSync(fd)
  }
}
