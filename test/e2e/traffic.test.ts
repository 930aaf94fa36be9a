import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { matchPinned } from '../../services/gateway/protocols/protocols.ts'
import { answerOf, golden } from '../protocols/golden.ts'
import { protocolOf } from '../protocols/recorded.ts'
import type { Answer } from '../support/gateway.ts'
import { trafficAbsent } from '../support/replay.ts'
import { startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'
import {
  ask,
  configOf,
  type Exchange,
  newKeys,
  pooled,
  recordedTraffic,
  sendRecorded,
  serveRecordings,
} from './recorded.ts'

/** Exchanges through a whole stack: the same bytes on both sides, and a row that says what the provider said. */

test('the golden exchanges pass byte for byte, and their rows say what the provider said', async t => {
  await play(t, golden.map(exchangeOf))
})

test('everything that was recorded passes byte for byte, and its rows say what the provider said', {
  skip: trafficAbsent,
}, async t => {
  await play(t, recordedTraffic())
})

/** On a machine that is busy with other things. */
const storedMs = 90_000
/** Whatever has not come after so long without a new row will not come. */
const quietMs = 10_000
const agent = 'replayer'

async function play(t: TestContext, all: readonly Exchange[]): Promise<void> {
  // A POST whose body was not recorded cannot be sent; cancelling has none.
  const given = all.filter(({ method, path, body }) => method !== 'POST' || body.length > 0 || path.endsWith('/cancel'))
  const upstream = await serveRecordings(given)
  const keys = newKeys([agent])
  // One try: what a provider refused is to be seen as it refused it.
  const stack = await startStack({ config: configOf(given, upstream.origin, keys) }).catch(async error => {
    await upstream.close()
    throw error
  })
  const wrong: string[] = []
  const sent = new Map<Exchange, Answer>()
  const counts = new Map<string, { bodies: number; equal: number; rows: number; right: number; doorless: number }>()
  const countOf = ({ api }: Exchange) => {
    const count = counts.get(api) ?? { bodies: 0, equal: 0, rows: 0, right: 0, doorless: 0 }
    counts.set(api, count)
    return count
  }
  try {
    await pooled(given, 8, async exchange => {
      const answer = await sendRecorded(stack.told('Gateway'), exchange, keys[agent] ?? '')
      sent.set(exchange, answer)
      const count = countOf(exchange)
      if (!hasDoor(exchange)) {
        count.doorless++
        if (answer.status !== 404 || upstream.arrived(exchange.id).length > 0)
          wrong.push(`${exchange.id}: ${exchange.path} has no door, and was answered ${answer.status}`)
        return
      }
      count.bodies++
      const differences = bodyDifferences(exchange, answer, upstream.arrived(exchange.id))
      if (differences.length === 0) count.equal++
      wrong.push(...differences.map(difference => `${exchange.id} ${exchange.api}: ${difference}`))
    })
    // A background answer that is queued has no end yet. It has one row, of the request that began it, whoever fetches it.
    const due = given.filter(
      exchange => hasDoor(exchange) && exchange.truth.finish_reasons[0] !== 'queued' && !fetches.test(exchange.path),
    )
    const rows = new Map<string, Row>()
    let [known, newAt] = [0, performance.now()]
    await until(
      'the rows',
      async () => {
        for (const row of await ask<Row>(stack, rowsQuery)) rows.set(row.request_id, row)
        if (rows.size > known) [known, newAt] = [rows.size, performance.now()]
        const all = due.every(exchange => rows.has(requestOf(sent.get(exchange))))
        return all || performance.now() - newAt > quietMs
      },
      storedMs,
      300,
    )
    for (const exchange of due) {
      const count = countOf(exchange)
      count.rows++
      const row = rows.get(requestOf(sent.get(exchange)))
      const differences = row === undefined ? ['no row'] : rowDifferences(exchange, row)
      if (differences.length === 0) count.right++
      wrong.push(...differences.map(difference => `${exchange.id} ${exchange.api}: ${difference}`))
    }
  } finally {
    await stack.close()
    await upstream.close()
  }
  for (const [api, { bodies, equal, rows, right, doorless }] of counts)
    t.diagnostic(
      `${api}: ${equal} of ${bodies} bodies equal, ${right} of ${rows} rows right${doorless > 0 ? `, ${doorless} without a door: 404` : ''}`,
    )
  const sum = (pick: 'equal' | 'bodies' | 'right' | 'rows') => counts.values().reduce((n, count) => n + count[pick], 0)
  t.diagnostic(
    `${sum('equal')} of ${sum('bodies')} bodies equal, ${sum('right')} of ${sum('rows')} rows right, ${all.length - given.length} recorded without their request`,
  )
  assert.deepEqual(wrong, [])
}

const fetches = /\/responses\/resp_[^/]+(\/cancel)?$/

const requestOf = (answer: Answer | undefined): string => String(answer?.headers['x-sluice-request-id'])

/** What providers keep for their customers (files, vector stores, …) is no call of a model and has no door. */
const hasDoor = (exchange: Exchange): boolean =>
  matchPinned(protocolOf(exchange), exchange.method, exchange.path.split('?')[0] ?? '') !== null

function bodyDifferences(
  exchange: Exchange,
  answer: Answer,
  arrived: ReturnType<Awaited<ReturnType<typeof serveRecordings>>['arrived']>,
): readonly string[] {
  const wrong: string[] = []
  if (answer.status !== exchange.status) wrong.push(`status ${answer.status} instead of ${exchange.status}`)
  if (arrived.length === 0) wrong.push('never arrived')
  const asks = !exchange.body.equals(arrived[0]?.body ?? exchange.body)
  for (const { body } of arrived)
    if (!body.equals(exchange.body) && !onlyAsksForUsage(exchange, body)) wrong.push('another request arrived')
  // Usage that was asked for on the client's behalf is taken out again.
  const expected = asks ? Buffer.from(withoutUsage(exchange.answer.toString())) : exchange.answer
  if (!answer.body.equals(expected)) wrong.push(`another answer, ${answer.body.length} bytes for ${expected.length}`)
  return wrong
}

/** A chat stream that did not ask for usage asks for it, in bytes that were put in at one place. */
function onlyAsksForUsage({ api, body }: Exchange, arrived: Buffer): boolean {
  if (api !== 'openai.chat' || arrived.length <= body.length) return false
  let same = 0
  while (body[same] !== undefined && body[same] === arrived[same]) same++
  const put = arrived.length - body.length
  if (!body.subarray(same).equals(arrived.subarray(same + put))) return false
  const { stream_options: options, ...rest } = JSON.parse(arrived.toString())
  const { stream_options: before, ...given } = JSON.parse(body.toString())
  return isDeepStrictEqual(options, { ...before, include_usage: true }) && isDeepStrictEqual(rest, given)
}

const withoutUsage = (stream: string): string =>
  stream
    .split(/(?<=\r\n\r\n|\n\n)/)
    .filter(event => !(/"choices":\s*\[\]/.test(event) && /"usage":\s*\{/.test(event)))
    .join('')

type Row = Readonly<Record<(typeof tokens)[number], number | null>> & {
  readonly request_id: string
  readonly model: string
  readonly finish_reason: string
  readonly error_type: string
  readonly usage_source: string
  readonly upstream_status: number | null
  readonly outcome: string
  readonly agent: string
}

const tokens = ['input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'reasoning_tokens'] as const
const rowsQuery = `SELECT request_id, model, finish_reason, error_type, usage_source, upstream_status, outcome, agent, ${tokens.join(', ')}
  FROM calls WHERE kind = 'llm'`

/** The provider had no word for it, so the word is ours. */
const broken = Symbol('broken')

/** `…-v1:O`, with a letter at its end, which the recordings' own fields leave out. */
const misspelled = new Set(['39ad997d3c13-000'])

function rowDifferences({ id, truth, status, api, response_headers: headers }: Exchange, row: Row): readonly string[] {
  const wrong: string[] = []
  const differ = (field: string, want: unknown, got: unknown) => {
    if (want !== got) wrong.push(`${field} is ${JSON.stringify(got)} instead of ${JSON.stringify(want)}`)
  }
  differ('agent', agent, row.agent)
  differ('upstream_status', status, row.upstream_status)
  // Where the provider names no model, it is the one that was asked for.
  const model = truth.response_model ?? (misspelled.has(id) ? null : truth.request_model)
  if (model !== null) differ('model', model, row.model)
  differ('finish_reason', truth.finish_reasons[0] ?? '', row.finish_reason)
  // Where a provider has no word for an error, ours is `error`.
  if (truth.error?.type !== broken)
    differ('error_type', truth.error === null ? '' : String(truth.error.type ?? 'error'), row.error_type)
  else if (!/^(unreadable|incomplete)_answer$/.test(row.error_type)) wrong.push(`error_type is ${row.error_type}`)
  differ('outcome', truth.error === null ? 'success' : 'error', row.outcome)
  // Bedrock tells the tokens of what is invoked in headers, which the recordings' own fields leave out.
  const counted = headers['x-amzn-bedrock-input-token-count']
  if (truth.usage === null && counted !== undefined) differ('input_tokens', Number(counted), row.input_tokens)
  else if (/count|tokenize|input_tokens/i.test(api)) for (const field of tokens) differ(field, null, row[field])
  else if (truth.usage !== null)
    for (const field of tokens) {
      // An answer that wrote nothing, and of which only the input was told.
      const nothingSaid = field === 'output_tokens' && row[field] === 0
      differ(field, truth.usage[field] ?? (nothingSaid ? 0 : null), row[field])
    }
  else if (row.usage_source === 'provider') wrong.push('usage of a provider that told none')
  return wrong
}

/** A golden exchange as if it had been recorded. */
function exchangeOf(one: (typeof golden)[number], i: number): Exchange {
  const reading = one.reading as {
    readonly model: string | null
    readonly response_id: string | null
    readonly usage: Readonly<Record<string, number>> | null
    readonly finish_reason: string | null
    readonly error: string | null
    readonly complete: boolean
    readonly queued: boolean
  } // ours; `test/golden/exchanges.md` says so
  const answer = answerOf(one)
  return {
    id: `golden-${i}`,
    kind: 'http',
    provider: one.protocol,
    api: apiOf(one),
    method: one.method,
    path: one.path,
    request_headers: {},
    request_body: one.request === null ? null : JSON.parse(one.request),
    status: one.status,
    response_headers: { 'content-type': one.content_type, ...one.headers },
    response_body: answer.toString(),
    response_body_encoding: 'text',
    streaming: false,
    run: '',
    step: 0,
    entry: `${one.protocol}-${one.protocol}`,
    body: Buffer.from(one.request ?? ''),
    answer,
    truth: {
      request_model: null,
      response_model: reading.model,
      response_id: reading.response_id,
      usage: reading.usage,
      finish_reasons: reading.queued ? ['queued'] : reading.finish_reason === null ? [] : [reading.finish_reason],
      error: reading.complete && reading.error === null ? null : { type: reading.error ?? broken },
      tool_calls: [],
    },
  }
}

const apiOf = ({ protocol, path }: (typeof golden)[number]): string => {
  if (path.endsWith('/chat/completions')) return 'openai.chat'
  return `${protocol}.${/count|tokenize|input_tokens/i.exec(path)?.[0] ?? 'golden'}`
}
