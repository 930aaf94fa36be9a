import assert from 'node:assert/strict'
import http from 'node:http'
import { type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { constants, deflateRawSync, gzipSync } from 'node:zlib'
import type { Event } from '../../schemas/events.ts'
import { allDoors, doors } from '../support/doors.ts'
import { send, startTestGateway, type TestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { type Script, startUpstream } from '../support/upstream.ts'
import { head, honest, inChunk, typeOf, verbatim } from '../support/upstream-lies.ts'
import { answers, floods, type Reply, trickles } from '../support/upstream-replies.ts'

const chat = doors[0]!
const mib = 1024 ** 2

/** A piece of text in an event of a kilobyte; thousands of them are what a model never says. */
const event = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', model: 'made-up', choices: [{ index: 0, delta: { content: 'x'.repeat(900) }, finish_reason: null }] })}\n\n`
const manyEvents = event.repeat(64)

async function flooded(t: TestContext, script: Script, stream: boolean): Promise<Slow> {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, { config: allDoors(up.origin, { timeoutMs: 2_000 }) })
  // What the first call brings with it (compiled code, connections, the log) is not the flood's.
  up.next(honest(chat, stream))
  await send(gateway.url + chat.path(stream), { body: chat.body(stream), headers: { 'x-api-key': gateway.key } })
  up.always(script)
  const before = inUse()
  const client = slowClient(gateway, stream)
  t.after(() => client.leave())
  return { ...client, before, gateway, left: async () => (await up.request(2)).ending }
}

type Slow = Client & { readonly before: number; readonly gateway: TestGateway; readonly left: () => Promise<string> }
type Client = {
  /** Bytes read so far. */
  readonly read: () => number
  /** Reads on until `bytes` more have come. */
  readonly readMore: (bytes: number) => Promise<void>
  readonly leave: () => void
}

/** A client that reads only when it is told to. */
function slowClient(gateway: TestGateway, stream: boolean): Client {
  let read = 0
  let response: http.IncomingMessage | null = null
  const req = http.request(gateway.url + chat.path(stream), {
    method: 'POST',
    agent: false,
    headers: { 'x-api-key': gateway.key, 'content-type': 'application/json' },
  })
  req.on('error', () => {})
  req.on('response', res => {
    response = res
    res.on('error', () => {})
    res.on('data', (chunk: Buffer) => {
      read += chunk.length
    })
    res.pause()
  })
  req.end(chat.body(stream))
  return {
    read: () => read,
    async readMore(bytes) {
      const goal = read + bytes
      await until('an answer', () => response !== null)
      response?.resume()
      await until(`${bytes} more bytes`, () => read >= goal)
      response?.pause()
    },
    leave: () => req.destroy(),
  }
}

/** Memory in use beyond what was in use before, once nothing has grown for a while; what is on its way through is let pass. */
async function growth(before: number): Promise<number> {
  let most = 0
  let now = 0
  let quietSince = performance.now()
  await until(
    'memory to rest',
    () => {
      now = inUse() - before
      if (now > most + mib) {
        most = now
        quietSince = performance.now()
      }
      return performance.now() - quietSince > 250 || most > 400 * mib
    },
    8_000,
    50,
  )
  return most > 400 * mib ? most : now
}

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** What is still needed, buffers wherever they are; the kernel's are not ours. */
const inUse = (): number => {
  collect()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

/** A block that ends at a whole byte and is not the last: it may be said again and again. */
const block = deflateRawSync(event.repeat(1_000), { finishFlush: constants.Z_SYNC_FLUSH })
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
const zippedFlood: Reply = [
  ...verbatim(
    head('200 OK', typeOf(true), 'content-encoding: gzip', 'transfer-encoding: chunked'),
    inChunk(gzipHeader),
  ),
  { forever: inChunk(block) },
]
const lineWithoutEnd: Reply = [
  ...verbatim(head('200 OK', typeOf(true), 'transfer-encoding: chunked'), inChunk('data: {"x":"')),
  { forever: inChunk('x'.repeat(64 * 1024)) },
]

for (const { what, reply } of [
  { what: 'a stream without an end', reply: floods(manyEvents) },
  { what: 'a compressed stream without an end', reply: zippedFlood },
  { what: 'a line without an end', reply: lineWithoutEnd },
])
  test(`${what} goes no faster than its client reads, and fills no memory`, async t => {
    const slow = await flooded(t, reply, true)
    assert.ok((await growth(slow.before)) < 48 * mib, `${Math.round(inUse() / mib)} MiB in use`)
    await slow.readMore(20 * mib)
    assert.ok((await growth(slow.before)) < 96 * mib, `${Math.round(inUse() / mib)} MiB in use after reading on`)
    slow.leave()
    assert.equal(await slow.left(), 'left')
    const ended = (events: readonly Event[]) => events.filter(event => event.type === 'llm.completed')
    const [, row] = ended(await slow.gateway.facts(events => ended(events).length === 2))
    assert.partialDeepStrictEqual(row, { outcome: 'cancelled', reason: 'client_left', usage_source: 'estimated' })
  })

test('a body without an end is held no further than 64 MiB, then goes as fast as its client reads', async t => {
  const body: Reply = [
    ...verbatim(head('200 OK', typeOf(false), 'transfer-encoding: chunked'), inChunk('{"x":"')),
    { forever: inChunk('x'.repeat(64 * 1024)) },
  ]
  const slow = await flooded(t, body, false)
  await slow.readMore(mib)
  assert.ok((await growth(slow.before)) < 200 * mib, `${Math.round(inUse() / mib)} MiB in use`)
  slow.leave()
  assert.equal(await slow.left(), 'left')
})

test('a small body that unpacks to gigabytes is not unpacked', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, { config: allDoors(up.origin, { timeoutMs: 2_000 }) })
  const bomb = gzipSync(Buffer.alloc(256 * mib))
  up.always(answers(bomb, { headers: ['content-type', 'application/json', 'content-encoding', 'gzip'] }))
  const before = inUse()
  const answer = await send(gateway.url + chat.path(false), {
    body: chat.body(false),
    headers: { 'x-api-key': gateway.key },
  })
  assert.equal(answer.body.length, bomb.length)
  assert.ok(inUse() - before < 150 * mib)
  const rows = await gateway.facts(events => events.some(event => event.type === 'llm.completed'))
  assert.partialDeepStrictEqual(rows.at(-1), { outcome: 'error', reason: 'unreadable_answer' })
})

test('byte after byte is an answer too, as long as every byte comes in time', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, { config: allDoors(up.origin, { timeoutMs: 500 }) })
  const headers = { 'x-api-key': gateway.key }
  up.always(trickles(JSON.stringify(chat.answer), 3))
  const whole = await send(gateway.url + chat.path(false), { body: chat.body(false), headers })
  assert.equal(whole.text, JSON.stringify(chat.answer))
  const text = chat.events.join('')
  up.always([
    ...verbatim(head('200 OK', typeOf(true), 'transfer-encoding: chunked')),
    ...[...Buffer.from(text)].map(byte => ({ write: inChunk(Buffer.of(byte)) })),
    ...verbatim('0\r\n\r\n'),
  ])
  const stream = await send(gateway.url + chat.path(true), { body: chat.body(true), headers })
  assert.equal(stream.text, text)
  const rows = (
    await gateway.facts(events => events.filter(event => event.type === 'llm.completed').length === 2)
  ).filter(event => event.type === 'llm.completed')
  for (const row of rows) assert.partialDeepStrictEqual(row, { outcome: 'success', input_tokens: 10, output_tokens: 3 })
})
