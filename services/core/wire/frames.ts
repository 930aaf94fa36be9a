import { crc32 } from './crc32.ts'
import type { EventReader, Told } from './sse.ts'

/**
 * AWS event streams (`application/vnd.amazon.eventstream`), read while they pass. A frame is its length, the length of its
 * headers, a checksum of these two, the headers, the payload, and a checksum of all.
 *
 * The reader has the face of one for server-sent events: an event's name is the frame's `:event-type`, its data the
 * payload's text. An exception's name is `exception <type>`. The first checksum is looked at, for a wrong length would make
 * nonsense of everything behind it; the second is the client's to check, to whom the bytes go as they came.
 */
export type FrameReader = EventReader & {
  /** Whether the bytes so far end where a frame does, and were frames. */
  readonly whole: () => boolean
}

/** `maxFrameBytes`: what a frame may hold; a larger one is passed over, which is memory's only bound here. */
export function readFrames(maxFrameBytes: number): FrameReader {
  let pieces: Buffer[] = []
  let have = 0 // bytes of the frame under way
  let length: number | null = null // of the whole frame; null until its prelude is there
  let broken = false

  /** What the prelude says, or nothing where it cannot be one. */
  const lengthOf = (prelude: Buffer): number | null => {
    const total = prelude.readUInt32BE(0)
    const fits =
      total >= preludeBytes + checksumBytes && prelude.readUInt32BE(4) <= total - preludeBytes - checksumBytes
    return fits && crc32(prelude.subarray(0, 8)) === prelude.readUInt32BE(8) ? total : null
  }

  const tell = (told: Told, next: number): void => {
    const frame = length !== null && length > maxFrameBytes ? null : Buffer.concat(pieces, have)
    pieces = []
    have = 0
    length = null
    if (frame === null) {
      told('', null, next)
      return
    }
    const headers = textHeaders(frame)
    const failed = headers.get(':exception-type') ?? headers.get(':error-code')
    const event = headers.get(':event-type') ?? ''
    told(failed === undefined ? event : `exception ${failed}`, payloadOf(frame, headers), next)
  }

  return {
    push(chunk, told) {
      for (let at = 0; at < chunk.length && !broken; ) {
        const take = Math.min((length ?? preludeBytes) - have, chunk.length - at)
        if (length === null || length <= maxFrameBytes) pieces.push(chunk.subarray(at, at + take))
        have += take
        at += take
        if (length !== null) {
          if (have === length) tell(told, at)
        } else if (have === preludeBytes) {
          length = lengthOf(Buffer.concat(pieces, have))
          if (length === null) broken = true
        }
      }
    },
    end() {},
    betweenCrLf: () => false,
    whole: () => !broken && have === 0,
  }
}

/** A frame of text headers, with right checksums. */
export function frameOf(headers: Readonly<Record<string, string>>, payload: string): Buffer {
  const named = Buffer.concat(
    Object.entries(headers).flatMap(([name, value]) => {
      const text = Buffer.from(value)
      const head = Buffer.from([
        Buffer.byteLength(name),
        ...Buffer.from(name),
        textHeader,
        text.length >> 8,
        text.length,
      ])
      return [head, text]
    }),
  )
  const body = Buffer.from(payload)
  const prelude = Buffer.alloc(preludeBytes)
  prelude.writeUInt32BE(preludeBytes + named.length + body.length + checksumBytes, 0)
  prelude.writeUInt32BE(named.length, 4)
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8)
  const bytes = Buffer.concat([prelude, named, body])
  const checksum = Buffer.alloc(checksumBytes)
  checksum.writeUInt32BE(crc32(bytes), 0)
  return Buffer.concat([bytes, checksum])
}

const preludeBytes = 12
const checksumBytes = 4
const textHeader = 7
/** Bytes of a header's value by its type: two truths, numbers of four sizes, a time, an id. */
const fixedSizes: Readonly<Record<number, number>> = { 0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16 }

/** An error outside the service's own says what it has to say in a header. */
function payloadOf(frame: Buffer, headers: ReadonlyMap<string, string>): string {
  const message = headers.get(':error-message')
  if (message !== undefined) return JSON.stringify({ message })
  return frame.toString('utf8', preludeBytes + frame.readUInt32BE(4), frame.length - checksumBytes)
}

/** The headers that are text. What does not fit into the headers' length ends them. */
function textHeaders(frame: Buffer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  const end = preludeBytes + frame.readUInt32BE(4)
  for (let at = preludeBytes; at < end; ) {
    const nameEnd = at + 1 + (frame[at] ?? 0)
    const type = frame[nameEnd] ?? 0
    const sized = fixedSizes[type]
    if (nameEnd + 3 > end && sized === undefined) break
    const from = nameEnd + (sized === undefined ? 3 : 1)
    const to = from + (sized ?? frame.readUInt16BE(nameEnd + 1))
    if (to > end) break
    if (type === textHeader) headers.set(frame.toString('utf8', at + 1, nameEnd), frame.toString('utf8', from, to))
    at = to
  }
  return headers
}
