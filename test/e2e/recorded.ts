import { join } from 'node:path'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { protocolOf, type Truth } from '../protocols/recorded.ts'
import { type Answer, send } from '../support/gateway.ts'
import { bodyOf, loadLines, loadRecorded, type Recorded, TRAFFIC } from '../support/replay.ts'
import type { Stack } from '../support/stack.ts'
import { type Arrived, startUpstream } from '../support/upstream.ts'
import { answers } from '../support/upstream-replies.ts'

/** A recorded exchange as an agent would send it through a stack, and what its provider's own fields say of it. */
export type Exchange = Recorded & {
  /** The entry of the configuration that serves it. */
  readonly entry: string
  readonly body: Buffer
  readonly answer: Buffer
  readonly truth: Truth & { readonly tool_calls: readonly string[] }
}

/** All that was recorded over HTTP, MCP apart: it has no door here. */
export function recordedTraffic(): readonly Exchange[] {
  const truths = new Map(
    loadLines<Exchange['truth'] & { id: string }>(join(TRAFFIC, '_truth.jsonl')).map(truth => [truth.id, truth]),
  )
  return loadRecorded(TRAFFIC).flatMap((recorded, i) => {
    const truth = truths.get(recorded.id)
    if (truth === undefined || recorded.api === 'mcp') return []
    const entry = `${recorded.provider}-${protocolOf(recorded)}`
    return [{ ...recorded, entry, body: spelled(recorded.request_body, i), answer: bodyOf(recorded), truth }]
  })
}

/** Clients space their JSON in more ways than one, and each has to arrive as it was sent. */
const spelled = (body: unknown, i: number): Buffer =>
  body == null
    ? Buffer.alloc(0)
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body, null, [undefined, 1, '\t'][i % 3]))

/** What `sluice.yaml` says: an entry for each provider and protocol, all answered by one upstream; and who may call. */
export const configOf = (
  exchanges: readonly Exchange[],
  origin: string,
  agents: Readonly<Record<string, string>>,
  more: object = {},
): string =>
  JSON.stringify({
    providers: Object.fromEntries(
      exchanges.map(exchange => {
        const protocol = protocolOf(exchange)
        const baseUrl = protocol === 'openai' ? `${origin}/v1` : origin
        return [exchange.entry, { protocol, baseUrl, apiKey: 'sk-provider', ...inRegion(protocol) }]
      }),
    ),
    agents: Object.fromEntries(
      Object.entries(agents).map(([name, key]) => [name, { keys: [`sha256:${hashOfKey(key)}`] }]),
    ),
    ...more,
  })

const inRegion = (protocol: string) => (protocol === 'bedrock' ? { region: 'us-east-1' } : {})

export const newKeys = (names: Iterable<string>): Readonly<Record<string, string>> =>
  Object.fromEntries([...names].map(name => [name, mintAgentKey()]))

export type Recordings = {
  readonly origin: string
  /** What came for a recording, in order. */
  readonly arrived: (id: string) => readonly Arrived[]
  readonly close: () => Promise<void>
}

/** Names the recording that is to be answered with. Many runs have the same requests and other answers. */
const which = 'x-recording'

/** The providers: each request is answered with the recording that it names. */
export async function serveRecordings(exchanges: readonly Exchange[]): Promise<Recordings> {
  const byId = new Map(exchanges.map(exchange => [exchange.id, exchange]))
  const arrived = new Map<string, Arrived[]>()
  const upstream = await startUpstream()
  upstream.always(request => {
    const id = request.header(which) ?? ''
    const exchange = byId.get(id)
    if (exchange === undefined) return answers('nothing was recorded under this name', { status: 404 })
    arrived.set(id, [...(arrived.get(id) ?? []), request])
    const headers = Object.entries(exchange.response_headers).filter(([name]) => !framing.has(name.toLowerCase()))
    return answers(exchange.answer, { status: exchange.status, headers: headers.flat() })
  })
  return { origin: upstream.origin, arrived: id => arrived.get(id) ?? [], close: upstream.close }
}

/** The framing is the upstream's own, and the recorder had undone the compression. */
const framing = new Set(['transfer-encoding', 'content-length', 'content-encoding', 'connection', 'keep-alive'])

/** Long enough for a machine with other things to do; a gateway that hangs is found by it all the same. */
const sendMs = 60_000

/** On a connection of its own, with the vendor's own path behind the provider's name. */
export function sendRecorded(gateway: string, exchange: Exchange, key: string): Promise<Answer> {
  const { method, path, entry, body, request_headers } = exchange
  return send(`${gateway}/${entry}${path}`, {
    method,
    headers: {
      accept: request_headers['accept'] ?? '*/*',
      ...credential(exchange, key),
      [which]: exchange.id,
      connection: 'close',
    },
    ...(body.length === 0 ? {} : { body }),
    timeoutMs: sendMs,
  })
}

const credential = (exchange: Exchange, key: string): Record<string, string> => {
  const protocol = protocolOf(exchange)
  if (protocol === 'anthropic') return { 'x-api-key': key, 'anthropic-version': '2023-06-01' }
  return protocol === 'gemini' ? { 'x-goog-api-key': key } : { authorization: `Bearer ${key}` }
}

/** `work` over all items, at most `width` at a time, begun in order. */
export async function pooled<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of rest) await work(item)
    }),
  )
}

/** Rows of a statement, as an analyst gets them. */
export async function ask<Row>(stack: Stack, sql: string): Promise<readonly Row[]> {
  const answer = await fetch(`${stack.told('SQL')}/?default_format=JSONEachRow&database=sluice`, {
    method: 'POST',
    headers: { 'x-clickhouse-user': 'analyst', 'x-clickhouse-key': stack.credentials().warehouse['analyst'] ?? '' },
    body: `${sql} SETTINGS output_format_json_quote_64bit_integers = 0`,
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(text)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Row) // the statement's author knows its columns
}
