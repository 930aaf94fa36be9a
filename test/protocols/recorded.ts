import fs from 'node:fs'
import path from 'node:path'
import type { ProtocolName } from '../../schemas/work.ts'

/** One recorded exchange with a provider, and what the provider's own fields say of it. */
export type Exchange = {
  readonly id: string
  readonly provider: string
  readonly api: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly streaming: boolean
  readonly request: unknown
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly answer: Buffer
  readonly truth: Truth
}

export type Truth = {
  readonly request_model: string | null
  readonly response_model: string | null
  readonly response_id: string | null
  readonly usage: Readonly<Record<string, number | null>> | null
  readonly finish_reasons: readonly string[]
  readonly error: { readonly type: unknown } | null
}

export const recordings = path.join(import.meta.dirname, '../../../shared/traffic')

/** The protocol of a recording. Voyage speaks OpenAI's; what is no model's answer is told by whose it is. */
export function protocolOf({ api, provider }: Pick<Exchange, 'api' | 'provider'>): ProtocolName {
  const [name = ''] = api.split('.')
  if (name === 'voyage') return 'openai'
  return (name === 'other' ? provider : name) as ProtocolName // such are the recordings' names
}

/** The exchanges over HTTP; null where the recordings are not at hand. */
export function recordedExchanges(): readonly Exchange[] | null {
  if (!fs.existsSync(recordings)) return null
  const truths = new Map(rowsOf('_truth.jsonl').map(row => [row['id'], row as Truth & { id: string }]))
  const files = fs.readdirSync(recordings).filter(name => /^[^_].*\.jsonl$/.test(name))
  return files
    .flatMap(rowsOf)
    .filter(row => row['kind'] === 'http')
    .map(row => ({
      id: String(row['id']),
      provider: String(row['provider']),
      api: String(row['api']),
      method: String(row['method']),
      path: String(row['path']),
      status: Number(row['status']),
      streaming: row['streaming'] === true,
      request: row['request_body'],
      contentType: String(headersOf(row)['content-type'] ?? ''),
      headers: headersOf(row),
      answer: Buffer.from(
        String(row['response_body'] ?? ''),
        row['response_body_encoding'] === 'base64' ? 'base64' : 'utf8',
      ),
      truth: truths.get(row['id']) as Truth, // every exchange has its row
    }))
}

type Row = Record<string, unknown>
const headersOf = (row: Row) => (row['response_headers'] ?? {}) as Record<string, string> // names and texts
const rowsOf = (name: string): Row[] =>
  fs
    .readFileSync(path.join(recordings, name), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Row)

/** Random numbers from a seed: the same cuts in every run. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** The bytes in pieces of random sizes, from one byte up. */
export function cut(bytes: Buffer, random: () => number, largest: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(random() * largest)
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}
