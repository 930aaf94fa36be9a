import { gzipSync } from 'node:zlib'

/**
 * What a scripted upstream does on the socket for one request, step by step. Nothing is framed or checked on the way:
 * a reply can lie. Where a reply does not end by itself (`close`, `reset`, `hang`) the connection takes the next request.
 */
export type Reply = readonly Step[]
export type Step =
  | { readonly write: Buffer }
  | { readonly waitMs: number }
  /** Waits for the test. */
  | { readonly until: Promise<unknown> }
  /** The same bytes again and again until the client leaves. */
  | { readonly forever: Buffer }
  | { readonly finally: 'close' | 'reset' | 'hang' }

export type Head = { readonly status?: number; readonly headers?: readonly string[] }
type Bytes = string | Buffer

/** A whole, honest answer. */
export const answers = (body: Bytes, head: Head = {}): Reply => [
  bytes(headOf(head, ['content-length', String(Buffer.byteLength(body))])),
  bytes(body),
]

export const answersJson = (value: unknown, head: Head = {}): Reply =>
  answers(JSON.stringify(value), { ...head, headers: ['content-type', 'application/json', ...(head.headers ?? [])] })

/** An honest answer in these slices, each a chunk of its own and a packet of its own. */
export const answersInSlices = (slices: readonly Bytes[], head: Head = {}, pauseMs = 0): Reply => [
  bytes(headOf(head, ['transfer-encoding', 'chunked'])),
  ...slices.filter(slice => slice.length > 0).flatMap(slice => [bytes(framed(slice)), { waitMs: pauseMs }]),
  bytes('0\r\n\r\n'),
]

/** An event stream, one event at a time; an event is its whole text, blank line included. */
export const streams = (events: readonly string[], pauseMs = 0, head: Head = {}): Reply =>
  answersInSlices(events, { ...head, headers: ['content-type', 'text/event-stream', ...(head.headers ?? [])] }, pauseMs)

/** Closes the connection after a reply that said nothing of it, as servers do with idle ones. */
export const thenCloses = (reply: Reply): Reply => [...reply, { finally: 'close' }]
export const thenHangs = (reply: Reply): Reply => [...reply, { finally: 'hang' }]

export const neverAnswers = (): Reply => [{ finally: 'hang' }]
export const resetsAtOnce = (): Reply => [{ finally: 'reset' }]
export const closesAtOnce = (): Reply => [{ finally: 'close' }]
export const speaksNoHttp = (): Reply => [bytes('SSH-2.0-OpenSSH_9.9\r\n'), { finally: 'close' }]

/** A content-length larger than the body: the rest never comes. */
export const announcesTooMuch = (body: Bytes, then: 'close' | 'hang' = 'close'): Reply => [
  bytes(headOf(JSON_HEAD, ['content-length', String(Buffer.byteLength(body) + 100)])),
  bytes(body),
  { finally: then },
]

/** A content-length smaller than the body: what is left over stands where the next answer should begin. */
export const announcesTooLittle = (body: Bytes): Reply => [
  bytes(headOf(JSON_HEAD, ['content-length', String(Math.max(Buffer.byteLength(body) - 10, 0))])),
  bytes(body),
]

/** No length and no chunks: the body ends where the connection does. */
export const endsByClosing = (body: Bytes): Reply => [bytes(headOf(JSON_HEAD, [])), bytes(body), { finally: 'close' }]

/** A stream that begins and then says nothing any more. */
export const neverEnds = (events: readonly string[], head: Head = EVENT_HEAD): Reply =>
  thenHangs(answersInSlices(events, head).slice(0, -1))

/** A stream without an end, as fast as the client reads. */
export const floods = (event: string, head: Head = EVENT_HEAD): Reply => [
  ...answersInSlices([event], head).slice(0, -1),
  { forever: framed(event) },
]

/** Breaks off in the middle of a stream, or of a body with an honest length. */
export const breaksStream = (events: readonly string[], how: 'close' | 'reset' = 'reset'): Reply => [
  ...answersInSlices(events, EVENT_HEAD).slice(0, -1),
  { finally: how },
]
export const breaksBody = (body: Bytes, how: 'close' | 'reset' = 'reset'): Reply => [
  bytes(headOf(JSON_HEAD, ['content-length', String(Buffer.byteLength(body))])),
  bytes(Buffer.from(body).subarray(0, Math.ceil(Buffer.byteLength(body) / 2))),
  // Time to be read: a reset takes away what the other side has not read yet.
  { waitMs: 20 },
  { finally: how },
]

export const redirects = (to: string, status = 302): Reply => answers('', { status, headers: ['location', to] })
export const brokenJson = (): Reply => answers('{"id":"x","choices":[{"mess', JSON_HEAD)
export const brokenSse = (): Reply =>
  streams(['data: {"id":"x","choices":[{"del\n\n', 'data: }{\n\n', 'nonsense without a colon\n\n', ': a comment\n\n'])
export const html = (status = 200): Reply =>
  answers('<!doctype html><title>Welcome</title><p>Log in to the network.', {
    status,
    headers: ['content-type', 'text/html'],
  })
export const hugeHeaders = (kib: number): Reply =>
  answers('{}', { headers: [...Array.from({ length: kib }, (_, i) => [`x-padding-${i}`, 'x'.repeat(1_000)]).flat()] })
export const fails = (status: number, value: unknown, retryAfter?: string): Reply =>
  answersJson(value, { status, headers: retryAfter === undefined ? [] : ['retry-after', retryAfter] })

/** Compressed, whether the client asked for it or not. */
export const gzipped = (value: unknown): Reply =>
  answers(gzipSync(JSON.stringify(value)), {
    headers: ['content-type', 'application/json', 'content-encoding', 'gzip'],
  })

/** Byte after byte. */
export const trickles = (body: string, pauseMs: number): Reply => [
  bytes(headOf(JSON_HEAD, ['content-length', String(Buffer.byteLength(body))])),
  ...[...Buffer.from(body)].flatMap(byte => [{ write: Buffer.of(byte) }, { waitMs: pauseMs }]),
]

const JSON_HEAD: Head = { headers: ['content-type', 'application/json'] }
const EVENT_HEAD: Head = { headers: ['content-type', 'text/event-stream'] }

const bytes = (text: Bytes): Step => ({ write: Buffer.from(text) })

const headOf = ({ status = 200, headers = [] }: Head, framing: readonly string[]): string => {
  const all = [...headers, ...framing]
  const lines = all.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${all[i + 1] ?? ''}`] : []))
  return `HTTP/1.1 ${status} ${status < 400 ? 'OK' : 'Error'}\r\n${lines.map(line => `${line}\r\n`).join('')}\r\n`
}

const framed = (slice: Bytes): Buffer =>
  Buffer.concat([Buffer.from(`${Buffer.byteLength(slice).toString(16)}\r\n`), Buffer.from(slice), Buffer.from('\r\n')])
