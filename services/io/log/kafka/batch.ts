import type { Message } from '../../../../schemas/events.ts'
import { crc32c } from './crc32c.ts'
import type { ProducerId } from './protocol.ts'

/**
 * Records as Kafka stores them (record batch, magic 2, not compressed). Written here in one pass over one buffer, because
 * a gateway encodes two events a request: kafkajs takes some ten buffers a record for the same bytes, and five times the
 * time.
 *
 *     i64 base offset · i32 length of what follows · i32 leader epoch · i8 magic · u32 crc32c of what follows
 *     i16 attributes · i32 last offset delta · i64 first and i64 last timestamp · i64 producer id · i16 epoch
 *     i32 first sequence · i32 count · records
 *
 * A record: length · i8 attributes · timestamp delta · offset delta · key · value · headers. Integers there are zigzag
 * varints, and so are the lengths before key, value, and each header's name and value; −1 is "none".
 */
export function encodeBatch(
  messages: readonly Message[],
  as: ProducerId & { readonly sequence: number; readonly time: number },
): Buffer {
  const sizes = messages.map((message, i) => recordBytes(message, i))
  let total = headBytes
  for (const size of sizes) total += varintBytes(size) + size
  const into = Buffer.allocUnsafe(total)
  into.writeBigInt64BE(0n, 0)
  into.writeInt32BE(total - 12, 8)
  into.writeInt32BE(-1, 12)
  into.writeInt8(2, 16)
  into.writeInt16BE(0, attributesAt)
  into.writeInt32BE(messages.length - 1, 23)
  into.writeBigInt64BE(BigInt(as.time), 27)
  into.writeBigInt64BE(BigInt(as.time), 35)
  into.writeBigInt64BE(BigInt(as.producerId), 43)
  into.writeInt16BE(as.producerEpoch, 51)
  into.writeInt32BE(as.sequence, 53)
  into.writeInt32BE(messages.length, 57)
  let at = headBytes
  for (const [i, message] of messages.entries()) at = putRecord(into, at, message, i, sizes[i]!)
  into.writeUInt32BE(crc32c(into, attributesAt, total), 17)
  return into
}

const attributesAt = 21
const headBytes = 61

/** Bytes of a record after its length. */
function recordBytes({ key, value, headers }: Message, offset: number): number {
  let bytes = 2 + varintBytes(offset) + varintBytes(value.length) + value.length // attributes and timestamp: one each
  const keyBytes = key === null ? -1 : Buffer.byteLength(key)
  bytes += varintBytes(keyBytes) + Math.max(0, keyBytes)
  let count = 0
  for (const name in headers) {
    const nameBytes = Buffer.byteLength(name)
    const itsBytes = Buffer.byteLength(headers[name]!)
    bytes += varintBytes(nameBytes) + nameBytes + varintBytes(itsBytes) + itsBytes
    count++
  }
  return bytes + varintBytes(count)
}

function putRecord(
  into: Buffer,
  start: number,
  { key, value, headers }: Message,
  offset: number,
  size: number,
): number {
  let at = putVarint(into, start, size)
  into[at++] = 0
  into[at++] = 0
  at = putVarint(into, at, offset)
  at = key === null ? putVarint(into, at, -1) : putText(into, at, key)
  at = putVarint(into, at, value.length)
  into.set(value, at)
  at += value.length
  let count = 0
  for (const _ in headers) count++
  at = putVarint(into, at, count)
  for (const name in headers) at = putText(into, putText(into, at, name), headers[name]!)
  return at
}

function putText(into: Buffer, at: number, text: string): number {
  // The length stands before the text and is one byte for all but the longest: write there, and move if it was wrong.
  const bytes = into.write(text, at + 1)
  if (bytes < 64) {
    into[at] = bytes << 1
    return at + 1 + bytes
  }
  const from = putVarint(into, at, bytes)
  return from + into.write(text, from)
}

/** Zigzag: 0, −1, 1, −2 … are 0, 1, 2, 3 …; then seven bits a byte, the lowest first. */
function putVarint(into: Buffer, at: number, value: number): number {
  let left = ((value << 1) ^ (value >> 31)) >>> 0
  while (left > 127) {
    into[at++] = (left & 127) | 128
    left >>>= 7
  }
  into[at++] = left
  return at
}

function varintBytes(value: number): number {
  const left = ((value << 1) ^ (value >> 31)) >>> 0
  return left < 1 << 7 ? 1 : left < 1 << 14 ? 2 : left < 1 << 21 ? 3 : left < 1 << 28 ? 4 : 5
}
