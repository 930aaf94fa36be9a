import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Meter, Reading } from '../../services/gateway/protocols/protocol.ts'
import { type Hit, matchPinned } from '../../services/gateway/protocols/protocols.ts'
import { cut, type Exchange, protocolOf, recordedExchanges, recordings, seeded } from './recorded.ts'

const all = recordedExchanges()
const skip = all === null ? `no recordings at ${recordings}` : false
const seed = 20260101

/** What vendors keep for their customers, which is no call of a model: a stated 404. MCP has a door of its own. */
const elsewhere: readonly RegExp[] = [
  /^DELETE \/v1\/(files|conversations|vector_stores)\/[^/]+$/,
  /^POST \/v1\/(conversations|vector_stores|vector_stores\/[^/]+\/files)$/,
  /^(POST|DELETE) \/v1beta\/(cachedContents|fileSearchStores)(\/[^/]+)?$/,
  /^POST \/mcp$/,
]
const isElsewhere = ({ method, path }: Exchange) => elsewhere.some(one => one.test(`${method} ${path.split('?')[0]}`))

test('every recorded path of a known operation has its route, and arrives where the provider expects it', {
  skip,
}, t => {
  const missed = doors().filter(({ exchange, hit }) => (hit === null) !== isElsewhere(exchange))
  assert.deepEqual(
    missed.map(({ exchange }) => `${exchange.method} ${exchange.path}`),
    [],
  )
  const left = new Map<string, number>()
  for (const { exchange } of doors().filter(({ hit }) => hit === null)) {
    const route = `${exchange.method} ${exchange.path.split('?')[0]?.replace(/[^/]*[0-9]{3,}[^/]*|[^/]+-[^/]+$/g, '…')}`
    left.set(route, (left.get(route) ?? 0) + 1)
  }
  for (const [route, n] of left) t.diagnostic(`no door: ${route} ×${n}`)
  for (const { exchange, hit } of doors()) {
    const [bare] = exchange.path.split('?') as [string]
    if (hit !== null) assert.ok(bare.endsWith(hit.matched.upstreamPath.replace(/^\/v1beta/, '')), exchange.path)
  }
  t.diagnostic(`${doors().filter(({ hit }) => hit !== null).length} exchanges matched`)
})

test('every recorded request can be served, and asks for the model that was recorded', { skip }, () => {
  for (const { exchange, hit } of served()) {
    if (exchange.method === 'POST' && exchange.request == null) continue // recorded without its request's body
    const bytes = Buffer.from(JSON.stringify(exchange.request ?? null))
    const ask = hit.protocol.ask(hit.matched, exchange.request, bytes)
    assert.equal(ask.invalid, null, exchange.id)
    if (!misspelled.has(exchange.id)) assert.equal(ask.model, exchange.truth.request_model, exchange.id)
  }
})

/** `…-v1:O`, with a letter at its end, which the recordings' own fields leave out. */
const misspelled = new Set(['39ad997d3c13-000'])

for (const [name, largest] of [
  ['whole', Number.POSITIVE_INFINITY],
  ['in large pieces', 3000],
  ['in small pieces', 40],
  ['byte by byte', 1],
] as const)
  test(`a recorded answer fed ${name} reads as its provider meant it, and passes as it was`, { skip }, t => {
    const random = seeded(seed)
    const counts = new Map<string, number>()
    const wrong: string[] = []
    for (const { exchange, hit } of served()) {
      if (largest === 1 && exchange.answer.length > 20_000) continue // a byte at a time is for the edges, not for the bulk
      const pieces = largest === Number.POSITIVE_INFINITY ? [exchange.answer] : cut(exchange.answer, random, largest)
      for (const wholeEvents of [false, true]) {
        const { out, reading } = feed(meterFor(exchange, hit, false, wholeEvents), pieces)
        if (!out.equals(exchange.answer)) wrong.push(`${exchange.id}: other bytes came out`)
        wrong.push(...differences(exchange, reading))
      }
      counts.set(exchange.api, (counts.get(exchange.api) ?? 0) + 1)
    }
    for (const [api, n] of counts) t.diagnostic(`${api}: ${n} answers`)
    t.diagnostic(`${wrong.length} differences, seed ${seed}`)
    assert.deepEqual(wrong, [])
  })

test("usage that was asked for on the client's behalf is taken out again, and nothing else", { skip }, t => {
  const random = seeded(seed)
  let taken = 0
  for (const { exchange, hit } of served()) {
    if (exchange.api !== 'openai.chat' || !exchange.streaming) continue
    const expected = withoutUsage(exchange.answer.toString('utf8'))
    for (const pieces of [[exchange.answer], cut(exchange.answer, random, 1500), cut(exchange.answer, random, 60)]) {
      const { out, reading } = feed(meterFor(exchange, hit, true), pieces)
      assert.equal(out.toString('utf8'), expected, exchange.id)
      assert.deepEqual(differences(exchange, reading), [])
    }
    if (expected.length < exchange.answer.length) taken++
  }
  t.diagnostic(`${taken} streams with a usage chunk`)
})

test('an answer that breaks off anywhere is not complete, and hides no usage behind a number', { skip }, () => {
  const random = seeded(seed)
  for (const { exchange, hit } of served()) {
    if (exchange.status !== 200 || exchange.answer.length < 2) continue
    const cutAt = 1 + Math.floor(random() * (exchange.answer.length - 1))
    const meter = meterFor(exchange, hit, false)
    meter.push(exchange.answer.subarray(0, cutAt))
    const { reading } = meter.end(false)
    assert.equal(reading.complete, false, exchange.id)
  }
})

/** Tools that run at the provider, and what is checked there: their tokens are billed as output and never streamed. */
const unseen =
  /redactedContent|server_tool|web_search|mcp_|groundingMetadata|executableCode|moderation|tool_calls_executed/

test('the estimate of what was streamed is not below what the provider counted', { skip }, t => {
  const ratios: number[] = []
  const below: string[] = []
  for (const { exchange, hit } of served()) {
    if (!exchange.streaming || exchange.truth.error !== null || unseen.test(exchange.answer.toString('utf8'))) continue
    const { reading } = feed(meterFor(exchange, hit, false), [exchange.answer])
    const told = reading.usage?.output_tokens
    if (told === undefined) continue
    const shown = told - (reading.usage?.reasoning_tokens ?? 0) // reasoning that is not shown cannot be counted
    ratios.push(reading.estimatedOutputTokens / Math.max(1, shown))
    if (reading.estimatedOutputTokens < shown)
      below.push(`${exchange.id} ${exchange.api} ${reading.estimatedOutputTokens} < ${shown}`)
  }
  ratios.sort((a, b) => a - b)
  const at = (part: number) => ratios[Math.floor((ratios.length - 1) * part)]?.toFixed(2)
  t.diagnostic(`${ratios.length} streams, estimate / told: min ${at(0)}, median ${at(0.5)}, max ${at(1)}`)
  assert.deepEqual(below, [])
})

type Door = { readonly exchange: Exchange; readonly hit: Hit | null }
type Served = { readonly exchange: Exchange; readonly hit: Hit }

const doors = (): readonly Door[] =>
  (all ?? []).map(exchange => ({
    exchange,
    hit: matchPinned(protocolOf(exchange), exchange.method, exchange.path.split('?')[0] ?? ''),
  }))

const served = (): readonly Served[] => doors().filter((door): door is Served => door.hit !== null)

function meterFor(exchange: Exchange, hit: Hit, hideUsage: boolean, wholeEvents = false): Meter {
  const ask = hit.protocol.ask(hit.matched, exchange.request)
  const { status, contentType, headers } = exchange
  const head = { status, contentType, header: (name: string) => headers[name] ?? null }
  return hit.protocol.meter(hit.matched, ask, head, { hideUsage, wholeEvents })
}

function feed(meter: Meter, pieces: readonly Buffer[]): { readonly out: Buffer; readonly reading: Reading } {
  const out = pieces.flatMap(piece => [...meter.push(piece)])
  const { rest, reading } = meter.end(true)
  return { out: Buffer.concat([...out, ...rest]), reading }
}

/** What the reading says differently from the recording's own fields. */
function differences({ id, status, truth, provider, headers }: Exchange, reading: Reading): string[] {
  const wrong: string[] = []
  const differ = (field: string, want: unknown, got: unknown) => {
    if (want !== got)
      wrong.push(`${id} ${provider}: ${field} is ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`)
  }
  differ('model', truth.response_model, reading.model)
  differ('finish reason', truth.finish_reasons[0] ?? null, reading.finishReason)
  differ('response id', truth.response_id, reading.responseId)
  // Where a provider has no word for an error, ours is `error`.
  differ('error', truth.error === null ? null : String(truth.error.type ?? 'error'), reading.error?.type ?? null)
  differ('complete', truth.error === null || status >= 400, reading.complete)
  differ('queued', truth.finish_reasons[0] === 'queued', reading.queued)
  // Bedrock tells the tokens of what is invoked in headers, which the recordings' own fields leave out.
  const counted = headers['x-amzn-bedrock-input-token-count']
  if (truth.usage === null && counted !== undefined)
    differ('input_tokens', Number(counted), reading.usage?.input_tokens)
  else if (truth.usage === null) differ('usage', null, reading.usage)
  else {
    for (const field of fields) differ(field, truth.usage[field] ?? null, reading.usage?.[field] ?? null)
    differ('wire cost', truth.usage['wire_cost'] ?? null, reading.wireCostUsd)
  }
  return wrong
}

const fields = ['input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'reasoning_tokens'] as const

/** The stream without the chunks that have usage and no choice. */
function withoutUsage(stream: string): string {
  return stream
    .split(/(?<=\r\n\r\n|\n\n)/)
    .filter(event => !(/"choices":\s*\[\]/.test(event) && /"usage":\s*\{/.test(event)))
    .join('')
}
