import { Transform, type TransformCallback } from 'node:stream'
import { cityHash128 } from './cityhash.ts'

/**
 * `compress=1`: ClickHouse's own framing, which JDBC drivers ask for unless told otherwise. A checksum, then method,
 * size, size unpacked, data. The data is an LZ4 block of literals: valid to every reader, and not smaller, because
 * between two processes of one machine nothing is saved by it.
 */
export class BlockEncoder extends Transform {
  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let start = 0; start < chunk.length; start += blockBytes)
      this.push(frame(chunk.subarray(start, start + blockBytes)))
    done()
  }

  /** Nothing is held back. */
  flush(done: () => void): void {
    done()
  }
}

/** What a server compresses at a time is a megabyte; a pipe gives us this much at once. */
const blockBytes = 65_536
const methodLz4 = 0x82
const headerBytes = 9
const checksumBytes = 16

export function frame(data: Uint8Array): Buffer {
  const lengthBytes = data.length < 15 ? 1 : 2 + Math.floor((data.length - 15) / 255)
  const size = headerBytes + lengthBytes + data.length
  const block = Buffer.alloc(checksumBytes + size)
  let at = checksumBytes
  at = block.writeUInt8(methodLz4, at)
  at = block.writeUInt32LE(size, at)
  at = block.writeUInt32LE(data.length, at)
  // LZ4: the high half of the first byte counts literals up to 15, further bytes of 255 and a rest the others.
  at = block.writeUInt8(Math.min(data.length, 15) << 4, at)
  if (data.length >= 15) {
    block.fill(255, at, at + lengthBytes - 2)
    at = block.writeUInt8((data.length - 15) % 255, at + lengthBytes - 2)
  }
  block.set(data, at)
  const [low, high] = cityHash128(block.subarray(checksumBytes))
  block.writeBigUInt64LE(low, 0)
  block.writeBigUInt64LE(high, 8)
  return block
}
