import { gzipSync } from 'node:zlib'
import { type DoorSample, doors } from './doors.ts'
import type { ScriptedUpstream } from './upstream.ts'
import type { Reply } from './upstream-replies.ts'

/** Replies that are written byte for byte: what no honest server's library would send. */
export const verbatim = (...texts: readonly (string | Buffer)[]): Reply =>
  texts.map(text => ({ write: Buffer.from(text) }))

export const head = (status: string, ...headers: readonly string[]): string =>
  `HTTP/1.1 ${status}\r\n${headers.map(header => `${header}\r\n`).join('')}\r\n`

const jsonType = 'content-type: application/json'
const eventType = 'content-type: text/event-stream'

export const bodyOf = (door: DoorSample, stream: boolean): string =>
  stream ? door.events.join('') : JSON.stringify(door.answer)
export const typeOf = (stream: boolean): string => (stream ? eventType : jsonType)
const lengthOf = (text: string | Buffer, more = 0): string => `content-length: ${Buffer.byteLength(text) + more}`
export const inChunk = (bytes: string | Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${Buffer.byteLength(bytes).toString(16)}\r\n`), Buffer.from(bytes), Buffer.from('\r\n')])

/** An honest answer of a door, whole or as a stream, with a length or closed by the end of the connection. */
export const honest = (door: DoorSample, stream: boolean, ...headers: readonly string[]): Reply => {
  const body = bodyOf(door, stream)
  return verbatim(head('200 OK', typeOf(stream), lengthOf(body), ...headers), body)
}
export const untilClosed = (door: DoorSample, stream: boolean): Reply => [
  ...verbatim(head('200 OK', typeOf(stream)), bodyOf(door, stream)),
  { finally: 'close' },
]

/** Says a hundred bytes more than come, then hangs up or falls silent; says ten less than come. */
export const tooLong = (door: DoorSample, stream: boolean, then: 'close' | 'hang' = 'close'): Reply => {
  const body = bodyOf(door, stream)
  return [...verbatim(head('200 OK', typeOf(stream), lengthOf(body, 100)), body), { finally: then }]
}
export const tooShort = (door: DoorSample, stream: boolean): Reply => {
  const body = bodyOf(door, stream)
  return verbatim(head('200 OK', typeOf(stream), lengthOf(body, -10)), body)
}

/** The first half of an answer; a reset takes away what the other side has not read yet, so there is time to be read. */
export const halfOf = (door: DoorSample, stream: boolean, then: 'close' | 'reset' | 'hang'): Reply => {
  const body = bodyOf(door, stream)
  const half = stream ? (door.events[0] ?? '') + (door.events[1] ?? '').slice(0, 20) : body.slice(0, body.length / 2)
  return [
    ...verbatim(head('200 OK', typeOf(stream), 'transfer-encoding: chunked'), inChunk(half)),
    { waitMs: 30 },
    { finally: then },
  ]
}

/** A chunk whose size is no number, after a good one. */
export const badChunk = (door: DoorSample, stream: boolean): Reply =>
  verbatim(
    head('200 OK', typeOf(stream), 'transfer-encoding: chunked'),
    inChunk(stream ? (door.events[0] ?? '') : bodyOf(door, stream).slice(0, 20)),
    'zz\r\nnothing\r\n',
  )

/** Compressed although nobody asked for it; `cut`: not to its end, `goesOn`: and beyond it. */
export const zipped = (door: DoorSample, stream: boolean, how: 'whole' | 'cut' | 'goesOn' = 'whole'): Reply => {
  const body = gzipSync(bodyOf(door, stream))
  const ends = {
    whole: body,
    cut: body.subarray(0, body.length - 20),
    goesOn: Buffer.concat([body, Buffer.alloc(99)]),
  }
  const sent = ends[how]
  return verbatim(
    head('200 OK', typeOf(stream), 'content-encoding: gzip', 'transfer-encoding: chunked'),
    inChunk(sent.subarray(0, 30)),
    inChunk(sent.subarray(30)),
    '0\r\n\r\n',
  )
}

/** The head itself comes byte by byte and does not end. */
export const headWithoutEnd = (pauseMs: number): Reply => [
  ...verbatim('HTTP/1.1 200 OK\r\n'),
  ...Array.from({ length: 200 }, (_, i) => [...verbatim(`x-${i}: y\r\n`), { waitMs: pauseMs }]).flat(),
]

/** The door at which a request arrived upstream, without the prefix that an OpenAI provider's base URL brings. */
export const doorAt = (path: string, stream: boolean): DoorSample => {
  // An OpenAI provider's version belongs to its base URL, a query to nobody.
  const end = (door: DoorSample) => door.path(stream).replace(/^\/v1(?!beta|\/messages)|\?.*$/g, '')
  const door = doors.find(door => path.replace(/\?.*$/, '').endsWith(end(door)))
  if (door === undefined) throw new Error(`no door ${path}`)
  return door
}

/** Makes an upstream answer each request as its door should. */
export const answerHonestly = (up: ScriptedUpstream): void =>
  up.always(request => honest(doorAt(request.path, false), false))
