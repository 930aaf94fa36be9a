import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../../schemas/events.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { type Heard, type Piece, request, talk } from '../support/raw.ts'
import { until } from '../support/until.ts'

const body = '{"model":"simulator","messages":[{"role":"user","content":"hi"}]}'
const length = `content-length: ${body.length}`
const chunked = 'transfer-encoding: chunked'
const inOneChunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
const limits = { bodyBytes: 100_000, headersTimeoutMs: 400, bodyIdleTimeoutMs: 400 }

/** One way of speaking HTTP badly. `says`: the statuses that come back, none where the connection is just closed. */
type Bad = {
  readonly what: string
  readonly pieces: (post: (headers: readonly string[], body?: string, first?: string) => string) => readonly Piece[]
  readonly says: readonly number[]
  /** A code of ours, where the request came as far as a protocol. */
  readonly code?: string
  /** The connection stays open for the next request. */
  readonly stays?: boolean
}

const bads: readonly Bad[] = [
  {
    what: 'announces too much',
    pieces: post => [post(['content-length: 200000'])],
    says: [413],
    code: 'payload_too_large',
  },
  {
    what: 'asks before it sends too much',
    pieces: post => [post(['content-length: 200000', 'expect: 100-continue'])],
    says: [413],
    code: 'payload_too_large',
  },
  {
    what: 'asks before it sends',
    pieces: post => [post([length, 'expect: 100-continue']), { waitMs: 50 }, body],
    says: [100, 200],
    stays: true,
  },
  {
    what: 'expects what nobody knows',
    pieces: post => [post([length, 'expect: miracles'], body)],
    says: [417],
    stays: true,
  },
  {
    what: 'announces more than numbers hold',
    pieces: post => [post(['content-length: 99999999999999999999999'])],
    says: [400],
  },
  { what: 'announces less than nothing', pieces: post => [post(['content-length: -1'], body)], says: [400] },
  { what: 'announces words', pieces: post => [post(['content-length: many'], body)], says: [400] },
  {
    what: 'sends too much in chunks',
    pieces: post => [post([chunked]), ...Array<string>(5).fill(`8000\r\n${'x'.repeat(0x8000)}\r\n`)],
    says: [413],
    code: 'payload_too_large',
  },
  {
    what: 'hangs up in the middle of its body',
    pieces: post => [post(['content-length: 500'], body), 'hangUp'],
    says: [400],
  },
  { what: 'hangs up in the middle of a chunk', pieces: post => [post([chunked], '10\r\nabc'), 'hangUp'], says: [400] },
  {
    what: 'hangs up in the middle of its headers',
    pieces: () => ['POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n', 'hangUp'],
    says: [400],
  },
  { what: 'hangs up at once', pieces: () => ['hangUp'], says: [] },
  { what: 'says nothing', pieces: () => [], says: [408] },
  {
    what: 'sends headers without an end, slowly',
    pieces: () => [
      'POST / HTTP/1.1\r\n',
      ...Array.from({ length: 12 }, (_, i): readonly Piece[] => [`x-${i}: y\r\n`, { waitMs: 150 }]).flat(),
    ],
    says: [408],
  },
  {
    what: 'stops in the middle of its body',
    pieces: post => [post(['content-length: 500'], '{')],
    says: [408],
    code: 'invalid_request',
  },
  {
    what: 'stops in the middle of a chunk',
    pieces: post => [post([chunked], '5\r\n{')],
    says: [408],
    code: 'invalid_request',
  },
  {
    what: 'sends its body slowly but moves',
    pieces: post => [
      post([length]),
      ...[...body].flatMap((byte, i): readonly Piece[] => (i % 8 === 0 ? [{ waitMs: 100 }, byte] : [byte])),
    ],
    says: [200],
    stays: true,
  },
  {
    what: 'sends very many headers',
    pieces: post => [post([length, ...Array.from({ length: 5_000 }, (_, i) => `x-${i}: y`)], body)],
    says: [431],
  },
  {
    what: 'sends a very large header',
    pieces: post => [post([length, `x-large: ${'y'.repeat(20_000)}`], body)],
    says: [431],
  },
  {
    what: 'has a very long path',
    pieces: post => [post([length], body, `POST /v1/${'a'.repeat(20_000)} HTTP/1.1`)],
    says: [431],
  },
  { what: 'gives a length and chunks', pieces: post => [post([length, chunked], inOneChunk)], says: [400] },
  { what: 'gives chunks and a length', pieces: post => [post([chunked, length], inOneChunk)], says: [400] },
  { what: 'gives two lengths', pieces: post => [post([length, 'content-length: 3'], body)], says: [400] },
  {
    what: 'gives two lengths in one',
    pieces: post => [post([`content-length: ${body.length}, ${body.length}`], body)],
    says: [400],
  },
  {
    what: 'hides the chunks behind a coding',
    pieces: post => [post(['transfer-encoding: xchunked', length], body)],
    says: [400],
  },
  {
    what: 'codes what it has chunked',
    pieces: post => [post(['transfer-encoding: chunked, identity'], inOneChunk)],
    says: [400],
  },
  {
    what: 'puts a space before the colon',
    pieces: post => [post(['transfer-encoding : chunked', length], body)],
    says: [400],
  },
  { what: 'folds a header', pieces: post => [post(['x-folded: a\r\n b', length], body)], says: [400] },
  { what: 'folds the framing', pieces: post => [post(['transfer-encoding:\r\n chunked'], inOneChunk)], says: [400] },
  { what: 'has a chunk of no size', pieces: post => [post([chunked], 'zz\r\n')], says: [400] },
  { what: 'has a chunk of a negative size', pieces: post => [post([chunked], '-1\r\n')], says: [400] },
  { what: 'has a chunk larger than numbers', pieces: post => [post([chunked], 'fffffffffffffffff\r\n')], says: [400] },
  {
    what: 'floods the extension of a chunk',
    pieces: post => [post([chunked], `1;${'a'.repeat(100_000)}\r\nx`)],
    says: [400],
  },
  {
    what: 'ends lines with a line feed alone',
    pieces: () => [`POST /v1/chat/completions HTTP/1.1\nhost: x\n${length}\n\n${body}`],
    says: [400],
  },
  { what: 'has a zero in a header', pieces: post => [post([length, 'x-zero: a\0b'], body)], says: [400] },
  { what: 'names no host', pieces: () => [request('POST /v1/chat/completions HTTP/1.1', [length], body)], says: [400] },
  { what: 'speaks TLS', pieces: () => [Buffer.from('160301020001000001fc0303', 'hex')], says: [400] },
  { what: 'speaks HTTP/2', pieces: () => ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], says: [400] },
  { what: 'speaks of other things', pieces: () => ['hello\r\n\r\n'], says: [400] },
  { what: 'invents a method', pieces: post => [post([], '', 'STEAL /v1/models HTTP/1.1')], says: [400] },
  { what: 'wants a tunnel', pieces: post => [post([], '', 'CONNECT example.com:443 HTTP/1.1')], says: [] },
  {
    what: 'smuggles a request behind one that is refused',
    pieces: post => [post(['content-length: 200000'], post([length], body))],
    says: [413],
  },
  {
    what: 'speaks HTTP/1.0',
    pieces: post => [post([length], body, 'POST /v1/chat/completions HTTP/1.0')],
    says: [200],
  },
  {
    what: 'sends two requests at once',
    pieces: post => [post([length], body) + post([length], body)],
    says: [200, 200],
    stays: true,
  },
  {
    what: 'sends two requests at once, the second in pieces',
    pieces: post => [post([chunked], inOneChunk) + post([length], body.slice(0, 9)), { waitMs: 30 }, body.slice(9)],
    says: [200, 200],
    stays: true,
  },
]

test('who speaks HTTP badly gets an error or is hung up on, and nobody else notices', async t => {
  const logged: string[] = []
  const gateway = await startTestGateway(t, { logged, config: { limits } })
  const post = (headers: readonly string[], body = '', first = 'POST /v1/chat/completions HTTP/1.1') =>
    request(
      first,
      ['host: x', `authorization: Bearer ${gateway.key}`, 'content-type: application/json', ...headers],
      body,
    )

  const good = () => send(`${gateway.url}/v1/chat/completions`, { body, headers: { 'x-api-key': gateway.key } })
  await Promise.all(
    bads.map(async ({ what, pieces, says, code, stays }) => {
      const enough = (heard: Heard) => stays === true && heard.statuses.length >= says.length
      const heard = await talk(gateway.port, pieces(post), { enough }).catch(error => assert.fail(`${what}: ${error}`))
      assert.deepEqual(heard.statuses, says, `${what}: ${heard.text.slice(0, 500)}`)
      assert.equal(heard.closed, stays !== true, `${what}: ${heard.closed ? 'hung up' : 'still there'}`)
      if (code !== undefined) {
        const answer = heard.text.slice(heard.text.lastIndexOf('\r\n\r\n') + 4)
        assert.equal(JSON.parse(answer).error.code, code, what)
      }
      assert.ok(!heard.text.includes(gateway.key), `${what}: the key comes back`)
      assert.equal((await good()).status, 200, `after one that ${what}`)
    }),
  )
  const served = bads.length + bads.flatMap(bad => bad.says).filter(status => status === 200).length
  const ended = (events: readonly Event[]) => events.filter(event => event.type === 'llm.completed').length
  const events = await gateway.facts(events => ended(events) >= served)
  assert.equal(ended(events), served, 'what was refused was served')
  assert.ok(!JSON.stringify(events).includes(gateway.key), 'the key is on the log')
  assert.deepEqual(logged, [], 'the gateway had something to log')
})

test('a client that leaves before its request is whole costs nothing', async t => {
  const gateway = await startTestGateway(t, { config: { limits } })
  const head = (headers: readonly string[], body: string) =>
    request('POST /v1/chat/completions HTTP/1.1', ['host: x', `x-api-key: ${gateway.key}`, ...headers], body)
  await talk(gateway.port, [head(['content-length: 500'], '{')], { enough: () => true, deadlineMs: 300 }).catch(
    () => {},
  )
  await talk(gateway.port, [head([chunked], '5\r\n{')], { deadlineMs: 100 }).catch(() => {})
  await until('nothing to be in flight', async () =>
    /^sluice_calls_in_flight 0$/m.test((await send(`${gateway.url}/metrics`)).text),
  )
})
