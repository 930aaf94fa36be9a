import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { User } from './access.ts'
import { refusal } from './exception.ts'
import { isEngineSetting } from './settings.ts'

/** One request as the engine's side needs it; what HTTP it came in does not matter any more. */
export type Ask = {
  readonly user: User
  readonly queryId: string
  /** From the URL or a form field; what the body holds comes after it, on a new line. */
  readonly query: string
  readonly body: Buffer
  readonly database: string
  readonly defaultFormat?: string
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly params: ReadonlyMap<string, string>
  /** GET only reads. */
  readonly mayWrite: boolean
  /** Send nothing before all of it is there. */
  readonly waitEnd: boolean
  readonly encoding?: Encoding
  /** Above 0: the revision in which the Native format is expected. */
  readonly protocolVersion: number
  /** A session was named. None is kept: what only makes sense inside one is refused. */
  readonly session: boolean
}

/** How the answer is packed: by HTTP's means, or in ClickHouse's own blocks, which no header tells of. */
export type Encoding = { readonly name: 'gzip' | 'deflate' | 'br' | 'zstd' | 'blocks'; readonly level: number }

const blocks: Encoding = { name: 'blocks', level: 0 }

/** Throws QueryException for what a server has and this one has not. */
export function readAsk(
  user: User,
  request: IncomingMessage,
  url: URLSearchParams,
  body: Buffer,
  ownDatabase: string,
): Ask {
  const form = formFields(request.headers['content-type'], body)
  const fields = form === undefined ? url : new URLSearchParams([...url, ...form])
  const flag = (name: string) => ['1', 'true'].includes(fields.get(name) ?? '0')
  if (flag('decompress')) {
    throw refusal(
      'NOT_IMPLEMENTED',
      "Bodies in ClickHouse's own block compression are not supported here; use Content-Encoding",
    )
  }
  const [role] = fields.getAll('role')
  if (role !== undefined) throw refusal('UNKNOWN_ROLE', `There is no role \`${role}\` in user directories`)

  const defaultFormat = fields.get('default_format') ?? header(request, 'x-clickhouse-format')
  const encoding = flag('compress')
    ? blocks
    : flag('enable_http_compression')
      ? httpEncoding(request, fields)
      : undefined
  return {
    user,
    queryId: fields.get('query_id') || header(request, 'x-clickhouse-query-id') || randomUUID(),
    query: fields.get('query') ?? '',
    body: form === undefined ? body : Buffer.alloc(0),
    database: fields.get('database') || header(request, 'x-clickhouse-database') || ownDatabase,
    ...(defaultFormat === undefined ? {} : { defaultFormat: formatName(defaultFormat) }),
    settings: [...fields].filter(([name]) => isEngineSetting(name)),
    params: new Map(
      [...fields].flatMap(([name, value]) => (name.startsWith('param_') ? [[name.slice(6), value]] : [])),
    ),
    mayWrite: request.method === 'POST',
    waitEnd: flag('wait_end_of_query') || flag('http_wait_end_of_query'),
    ...(encoding === undefined ? {} : { encoding }),
    protocolVersion: Number(fields.get('client_protocol_version') ?? 0) || 0,
    session: fields.has('session_id'),
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

function formatName(name: string): string {
  if (!/^\w+$/.test(name)) throw refusal('BAD_ARGUMENTS', `Unknown format ${name}`)
  return name
}

/** The first we know in the order of what it costs for what it saves. */
function httpEncoding(request: IncomingMessage, fields: URLSearchParams): Encoding | undefined {
  const accepted = header(request, 'accept-encoding')?.toLowerCase() ?? ''
  const name = (['zstd', 'gzip', 'br', 'deflate'] as const).find(known => accepted.includes(known))
  const level = Number(fields.get('http_zlib_compression_level') ?? 3)
  return name === undefined
    ? undefined
    : { name, level: Number.isInteger(level) && level >= 1 && level <= 9 ? level : 3 }
}

/** `multipart/form-data` with `query` and `param_…` fields. Files would be external tables; those are not offered. */
function formFields(contentType: string | undefined, body: Buffer): readonly [string, string][] | undefined {
  const boundary = /^multipart\/form-data;.*boundary="?([^";]+)"?/i.exec(contentType ?? '')?.[1]
  if (boundary === undefined) return undefined
  // One character a byte, so that positions are exact; a field's bytes are read as UTF-8 in the end.
  const parts = body.toString('latin1').split(`--${boundary}`)
  return parts.slice(1, -1).map(part => {
    const split = part.indexOf('\r\n\r\n')
    const head = part.slice(0, Math.max(split, 0))
    const name = /name="([^"]*)"/i.exec(head)?.[1]
    if (name === undefined || /filename=/i.test(head)) {
      throw refusal('NOT_IMPLEMENTED', 'External tables in multipart/form-data are not supported here')
    }
    return [name, Buffer.from(part.slice(split + 4, -2), 'latin1').toString()]
  })
}
