import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Arrived, startUpstream } from './upstream.ts'
import { answers, answersInSlices, fails, type Reply } from './upstream-replies.ts'

/** A recorded exchange with a provider, one line of a `.jsonl` file. */
export type Recorded = {
  readonly id: string
  readonly kind: string
  readonly provider: string
  readonly api: string
  readonly method: string
  readonly path: string
  readonly request_headers: Readonly<Record<string, string>>
  readonly request_body: unknown
  readonly status: number
  readonly response_headers: Readonly<Record<string, string>>
  readonly response_body: string
  readonly response_body_encoding: 'text' | 'base64'
  readonly streaming: boolean
  readonly run: string
  readonly step: number
}

const folder = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
export const GOLDEN = folder('../golden')
export const TRAFFIC = folder('../../../shared/traffic')
/** For `test(…, { skip })`: false where the recordings are there. */
export const trafficAbsent: string | false = existsSync(TRAFFIC) ? false : `no recordings at ${TRAFFIC}`

/** The HTTP exchanges of all files of a folder; lines that are something else, and files named `_…`, are left out. */
export const loadRecorded = (directory: string): readonly Recorded[] =>
  readdirSync(directory)
    .filter(name => name.endsWith('.jsonl') && !name.startsWith('_'))
    .sort()
    .flatMap(name => loadLines<Recorded>(join(directory, name)))
    .filter(({ kind }) => kind === 'http')

/** The rows of one `.jsonl` file. The caller knows what they are: these are our own test data. */
export const loadLines = <Row>(file: string): readonly Row[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Row) // see above

/** `whole`: in one piece · `event`: event by event · `odd`: in slices that heed neither events nor characters. */
export type Cut = 'whole' | 'event' | 'odd'

export type Replay = {
  readonly origin: string
  readonly port: number
  /** What was served, in order. Forget it with `served.length = 0`. */
  readonly served: { readonly recorded: Recorded; readonly request: Arrived }[]
  /** What no recording answers; each got a 404 that says so. */
  readonly strangers: Arrived[]
  readonly cut: (how: Cut) => void
  readonly close: () => Promise<void>
}

/**
 * Serves recordings by the end of the path and the canonical body. Where several recordings have the same request, they
 * are served in turn, in the order of the list, and then from the first again.
 */
export const startReplay = async (recordings: readonly Recorded[], cut: Cut = 'whole'): Promise<Replay> => {
  const upstream = await startUpstream()
  const byKey = Map.groupBy(recordings, recorded => keyOf(recorded.method, recorded.path, recorded.request_body))
  const turns = new Map<string, number>()
  const served: Replay['served'] = []
  const strangers: Arrived[] = []
  let how = cut
  upstream.always(request => {
    const key = keyOf(request.method, request.path, parsed(request.body))
    const turn = turns.get(key) ?? 0
    const same = byKey.get(key) ?? []
    const recorded = same[turn % same.length]
    if (recorded === undefined) {
      strangers.push(request)
      return fails(404, { error: { message: `nothing recorded for ${key.slice(0, 300)}` } })
    }
    turns.set(key, turn + 1)
    served.push({ recorded, request })
    return replyOf(recorded, how)
  })
  return {
    origin: upstream.origin,
    port: upstream.port,
    served,
    strangers,
    cut: next => {
      how = next
    },
    close: upstream.close,
  }
}

export const bodyOf = (recorded: Recorded): Buffer =>
  Buffer.from(recorded.response_body, recorded.response_body_encoding === 'base64' ? 'base64' : 'utf8')

/** `stream_options` may be added by a gateway, and the path before its last segment is the base URL's affair. */
const keyOf = (method: string, path: string, body: unknown): string => {
  const [route = ''] = path.split('?')
  return `${method} ${decodeURIComponent(route.slice(route.lastIndexOf('/') + 1))} ${canonical(withoutOptions(body))}`
}

const withoutOptions = (body: unknown): unknown => {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  const { stream_options: _left, ...rest } = body as Readonly<Record<string, unknown>> // an object, not null, no array
  return rest
}

/** JSON with sorted keys, so that two spellings of one value are one key. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  ) ?? ''

/** Recordings have null where there was no body, and a string where it was no JSON. */
const parsed = (body: Buffer): unknown => {
  if (body.length === 0) return null
  try {
    return JSON.parse(body.toString())
  } catch {
    return body.toString()
  }
}

/** The framing is our own, and the recorder had undone the compression. */
const FRAMING = new Set(['transfer-encoding', 'content-length', 'content-encoding', 'connection', 'keep-alive'])

const replyOf = (recorded: Recorded, cut: Cut): Reply => {
  const headers = Object.entries(recorded.response_headers).filter(([name]) => !FRAMING.has(name.toLowerCase()))
  const head = { status: recorded.status, headers: headers.flat() }
  const body = bodyOf(recorded)
  if (cut === 'whole') return answers(body, head)
  return answersInSlices(cut === 'odd' ? oddSlices(body) : eventsOf(body), head)
}

/** After each blank line. A body without events is one slice. */
export const eventsOf = (body: Buffer): readonly Buffer[] =>
  body
    .toString('latin1')
    .split(/(?<=\r?\n\r?\n)/)
    .map(event => Buffer.from(event, 'latin1'))

/** Sizes that share no factor with anything in the protocols; they grow, so that a large body does not take a minute. */
const ODD_SIZES = [1, 2, 3, 5, 7, 11, 13, 17, 29, 61, 127, 257]
const SMALL_SLICES = 240

export const oddSlices = (body: Buffer): readonly Buffer[] => {
  const slices: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const small = ODD_SIZES[slices.length % ODD_SIZES.length] ?? 1
    const size = slices.length < SMALL_SLICES ? small : 4_093 + small
    slices.push(body.subarray(at, at + size))
    at += size
  }
  return slices
}
