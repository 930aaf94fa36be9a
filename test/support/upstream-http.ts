/** One HTTP/1.1 request as it stood on the wire. */
export type WireRequest = {
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** Name, value, name, value: as they came. */
  readonly rawHeaders: readonly string[]
  /** The first value of a header, name in any case; undefined where there is none. */
  readonly header: (name: string) => string | undefined
  /** Without its framing. */
  readonly body: Buffer
  /** Every byte, framing included. */
  readonly bytes: Buffer
}

/**
 * Cuts a connection's bytes into requests. Written by hand, so that what a test sees is what arrived and not what a
 * server library made of it. Throws on what is no HTTP.
 */
export const requestReader = (): ((chunk: Buffer) => readonly WireRequest[]) => {
  let rest: Buffer = Buffer.alloc(0)
  return chunk => {
    rest = Buffer.concat([rest, chunk])
    const whole: WireRequest[] = []
    for (let request = read(rest); request !== null; request = read(rest)) {
      rest = rest.subarray(request.bytes.length)
      whole.push(request)
    }
    return whole
  }
}

const read = (bytes: Buffer): WireRequest | null => {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const [method, path, version] = first.split(' ')
  if (method === undefined || path === undefined || !version?.startsWith('HTTP/1.'))
    throw new Error(`no HTTP: ${first}`)
  const rawHeaders = lines.flatMap(line => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1).trim()]
  })
  const header = (name: string): string | undefined =>
    rawHeaders.find((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name.toLowerCase())
  const start = end + 4
  const framed = header('transfer-encoding')?.toLowerCase() === 'chunked'
  const body = framed ? chunkedBody(bytes, start) : plainBody(bytes, start, Number(header('content-length') ?? 0))
  return body && { method, path, rawHeaders, header, body: body.body, bytes: bytes.subarray(0, body.end) }
}

type Body = { readonly body: Buffer; readonly end: number }

const plainBody = (bytes: Buffer, start: number, length: number): Body | null =>
  bytes.length < start + length ? null : { body: bytes.subarray(start, start + length), end: start + length }

const chunkedBody = (bytes: Buffer, start: number): Body | null => {
  const parts: Buffer[] = []
  for (let at = start; ; ) {
    const line = bytes.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    const next = line + 2 + size + 2
    if (bytes.length < next) return null
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    if (size === 0) return { body: Buffer.concat(parts), end: next }
    at = next
  }
}
