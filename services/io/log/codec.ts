import { crc32 } from 'node:zlib'
import { header } from '../../../schemas/envelope.ts'
import type { Message } from '../../../schemas/events.ts'
import type { LogRecord } from './port.ts'

/**
 * A record as bytes of the file log, little-endian:
 *
 *     u32 length of what follows the crc · u32 crc32 of the same
 *     u64 offset · u48 time (ms, when appended) · u32 key length (all ones: no key) · u16 number of headers
 *     key · headers · value (the rest)
 *
 * A header is a code and what the code leaves open: a name and value that nearly every record has is one byte, a name
 * that nearly every record has is one byte and the value, any other is spelled out. Codes are on disk: only append.
 *
 * Nothing here allocates but the record that is decoded: appending runs on the event loop of a gateway, twice a request.
 */
const pairs: readonly (readonly [string, string])[] = [
  [header.specversion, '1.0'],
  [header.contentType, 'application/json'],
]
const names: readonly string[] = [
  header.specversion,
  header.id,
  header.type,
  header.source,
  header.time,
  header.contentType,
  header.previous,
]
const spelledOut = 0
const firstPair = 128
const codeOf = new Map(names.map((name, i) => [name, i + 1]))
const pairOf = new Map(pairs.map(([name, value], i) => [name, { value, code: firstPair + i }]))

const bodyAt = 8
const fixedBytes = 28
const noKey = 0xffff_ffff
const twoTo32 = 2 ** 32

/** Above this a record is refused: four times the largest thing anyone should put on a log, a quarter of a segment. */
export const maxRecordBytes = 16 * 1024 * 1024

/** At least as many bytes as `encodeRecord` will take (UTF-8 needs at most three per UTF-16 unit); Infinity: it cannot. */
export function sizeBound(message: Message): number {
  let chars = message.key?.length ?? 0
  let headers = 0
  for (const name in message.headers) {
    chars += name.length + message.headers[name]!.length
    headers++
  }
  return headers > 0xffff ? Number.POSITIVE_INFINITY : fixedBytes + chars * 3 + headers * 9 + message.value.length
}

/** Writes the record at `at`, where `sizeBound` bytes are free, and answers where it ends. */
export function encodeRecord(into: Buffer, at: number, offset: number, time: number, message: Message): number {
  putU64(into, at + 8, offset)
  into.writeUIntLE(time, at + 16, 6)
  let end = at + fixedBytes
  if (message.key === null) into.writeUInt32LE(noKey, at + 22)
  else {
    const bytes = putText(into, end, message.key)
    into.writeUInt32LE(bytes, at + 22)
    end += bytes
  }
  let count = 0
  for (const name in message.headers) {
    end = encodeHeader(into, end, name, message.headers[name]!)
    count++
  }
  into.writeUInt16LE(count, at + 26)
  into.set(message.value, end)
  end += message.value.length
  into.writeUInt32LE(end - at - bodyAt, at)
  into.writeUInt32LE(crc32(into.subarray(at + bodyAt, end)), at + 4)
  return end
}

function encodeHeader(into: Buffer, at: number, name: string, value: string): number {
  const pair = pairOf.get(name)
  if (pair !== undefined && pair.value === value) {
    into[at] = pair.code
    return at + 1
  }
  let end = at + 1
  const code = codeOf.get(name) ?? spelledOut
  into[at] = code
  if (code === spelledOut) {
    const bytes = putText(into, end + 4, name)
    into.writeUInt32LE(bytes, end)
    end += 4 + bytes
  }
  const bytes = putText(into, end + 4, value)
  into.writeUInt32LE(bytes, end)
  return end + 4 + bytes
}

/** Names, ids and times are short and plain: writing them here is quicker than calling out for it. Answers the bytes. */
function putText(into: Buffer, at: number, text: string): number {
  if (text.length > 64) return into.write(text, at)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return into.write(text, at)
    into[at + i] = code
  }
  return text.length
}

/** Whole bytes of the record at `at`; 0 where it is not all there before `limit`, −1 where this cannot be a record. */
export function frameBytes(bytes: Buffer, at: number, limit: number): number {
  if (limit - at < bodyAt) return 0
  const length = bytes.readUInt32LE(at)
  if (length < fixedBytes - bodyAt || length > maxRecordBytes) return -1
  return at + bodyAt + length <= limit ? bodyAt + length : 0
}

/** The bytes that a record needs whose first four are there, or 0 where they do not say. */
export function frameBytesNeeded(bytes: Buffer, at: number, limit: number): number {
  return limit - at < 4 ? 0 : bodyAt + Math.min(bytes.readUInt32LE(at), maxRecordBytes)
}

/** Whether a whole frame holds what was written into it. */
export const isIntact = (bytes: Buffer, at: number, frame: number): boolean =>
  crc32(bytes.subarray(at + bodyAt, at + frame)) === bytes.readUInt32LE(at + 4)

export const offsetAt = (bytes: Buffer, at: number): number => getU64(bytes, at + 8)
export const timeAt = (bytes: Buffer, at: number): number => bytes.readUIntLE(at + 16, 6)

export function keyAt(bytes: Buffer, at: number): string | null {
  const keyBytes = bytes.readUInt32LE(at + 22)
  return keyBytes === noKey ? null : bytes.toString('utf8', at + fixedBytes, at + fixedBytes + keyBytes)
}

/** The record of an intact frame. `value` is a view of `bytes`. */
export function decodeRecord(bytes: Buffer, at: number, frame: number): LogRecord {
  const keyBytes = bytes.readUInt32LE(at + 22)
  let end = at + fixedBytes
  let key: string | null = null
  if (keyBytes !== noKey) {
    key = bytes.toString('utf8', end, end + keyBytes)
    end += keyBytes
  }
  const headers: Record<string, string> = {}
  for (let left = bytes.readUInt16LE(at + 26); left > 0; left--) {
    const code = bytes[end++]!
    const pair = pairs[code - firstPair]
    if (pair !== undefined) {
      headers[pair[0]] = pair[1]
      continue
    }
    let name = names[code - 1]
    if (name === undefined) {
      const nameBytes = bytes.readUInt32LE(end)
      name = bytes.toString('utf8', end + 4, end + 4 + nameBytes)
      end += 4 + nameBytes
    }
    const valueBytes = bytes.readUInt32LE(end)
    const value = bytes.toString('utf8', end + 4, end + 4 + valueBytes)
    end += 4 + valueBytes
    if (name === '__proto__') Object.defineProperty(headers, name, { value, enumerable: true })
    else headers[name] = value
  }
  return { key, headers, value: bytes.subarray(end, at + frame), offset: offsetAt(bytes, at) }
}

export function putU64(into: Buffer, at: number, value: number): void {
  into.writeUInt32LE(value % twoTo32, at)
  into.writeUInt32LE(Math.floor(value / twoTo32), at + 4)
}

export const getU64 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * twoTo32
