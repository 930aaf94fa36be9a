import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Pool } from 'undici'
import { bodyOf, eventsOf, GOLDEN, loadRecorded, oddSlices, startReplay, TRAFFIC, trafficAbsent } from './replay.ts'
import { startUpstream } from './upstream.ts'
import * as replies from './upstream-replies.ts'

const upstream = await startUpstream()
const pool = new Pool(upstream.origin, { connections: 1, bodyTimeout: 300, headersTimeout: 300 })
after(async () => {
  await pool.destroy()
  await upstream.close()
})
const post = async (body = '{}') => {
  const answer = await pool.request({ path: '/v1/x?y=1', method: 'POST', body, headers: { 'X-Case': 'Kept' } })
  return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() }
}

test('what arrived is kept as it was, over one connection', async () => {
  upstream.always(replies.answersJson({ ok: true }))
  assert.equal((await post('{"a": "ü"}')).text, '{"ok":true}')
  assert.equal((await post()).status, 200)
  const [first, second] = upstream.arrived
  assert.equal(first?.body.toString(), '{"a": "ü"}')
  assert.equal(first?.path, '/v1/x?y=1')
  assert.ok(first?.rawHeaders.includes('X-Case'))
  assert.equal(first?.header('x-case'), 'Kept')
  assert.equal(second?.connection, first?.connection)
  assert.equal(await second?.ending, 'answered')
})

test('honest replies arrive whole', async () => {
  upstream.next(
    replies.streams(['data: 1\n\n', 'data: 2\n\n']),
    replies.trickles('{"slow":1}', 1),
    replies.thenCloses(replies.html(200)),
  )
  assert.equal((await post()).text, 'data: 1\n\ndata: 2\n\n')
  assert.equal((await post()).text, '{"slow":1}')
  assert.match((await post()).text, /^<!doctype/)
  upstream.next(replies.endsByClosing('{"a":1}'), replies.redirects('http://127.0.0.1:1/'), replies.fails(503, {}, '2'))
  assert.equal((await post()).text, '{"a":1}')
  assert.equal((await post()).headers['location'], 'http://127.0.0.1:1/')
  assert.equal((await post()).headers['retry-after'], '2')
  upstream.next(replies.gzipped({ a: 1 }))
  assert.equal((await post()).headers['content-encoding'], 'gzip')
})

test('evil replies are as evil as they say', async () => {
  const evil = {
    neverAnswers: replies.neverAnswers(),
    resetsAtOnce: replies.resetsAtOnce(),
    closesAtOnce: replies.closesAtOnce(),
    speaksNoHttp: replies.speaksNoHttp(),
    announcesTooMuch: replies.announcesTooMuch('{"a":1}'),
    neverEnds: replies.neverEnds(['data: 1\n\n']),
    breaksStream: replies.breaksStream(['data: 1\n\n']),
    breaksBody: replies.breaksBody('{"a":1,"b":2}'),
    hugeHeaders: replies.hugeHeaders(200),
  }
  for (const [name, reply] of Object.entries(evil)) {
    upstream.next(reply)
    await assert.rejects(post(), name)
  }
  // What stands after a body that was announced too short spoils its connection.
  upstream.next(replies.announcesTooLittle('{"a":1,"b":2,"c":3}'))
  assert.equal((await post()).text, '{"a":1,"b')
})

test('a client that leaves a flood is noticed', async () => {
  upstream.next(replies.floods('data: more\n\n'))
  const seen = upstream.arrived.length
  const answer = await pool.request({ path: '/', method: 'GET' })
  await new Promise(resolve => answer.body.once('data', resolve))
  answer.body.destroy()
  answer.body.on('error', () => {})
  assert.equal(await (await upstream.request(seen + 1)).ending, 'left')
})

for (const directory of [TRAFFIC, GOLDEN])
  test(`recordings of ${directory} are served byte for byte, however they are cut`, {
    skip: trafficAbsent,
  }, async t => {
    let recordings: ReturnType<typeof loadRecorded>
    try {
      recordings = loadRecorded(directory)
    } catch {
      t.skip('no recordings')
      return
    }
    const replay = await startReplay(recordings)
    const client = new Pool(replay.origin, { connections: 1 })
    try {
      for (const cut of ['whole', 'event', 'odd'] as const) {
        replay.cut(cut)
        const some = recordings.filter((recorded, i) => recorded.streaming || i % 40 === 0)
        for (const recorded of some) {
          const body = recorded.request_body === null ? null : JSON.stringify(recorded.request_body)
          const method = recorded.method === 'GET' ? 'GET' : recorded.method === 'DELETE' ? 'DELETE' : 'POST'
          const answer = await client.request({ path: recorded.path, method, body })
          const bytes = Buffer.from(await answer.body.arrayBuffer())
          const served = replay.served.at(-1)?.recorded
          assert.ok(served !== undefined, recorded.id)
          assert.ok(bytes.equals(bodyOf(served)), recorded.id)
          assert.equal(answer.statusCode, served.status)
        }
      }
      assert.equal(replay.strangers.length, 0)
    } finally {
      await client.destroy()
      await replay.close()
    }
  })

test('slices put together are the body', () => {
  const body = Buffer.from(`data: ü\n\ndata: ${'x'.repeat(20_000)}\r\n\r\nrest`)
  for (const slices of [oddSlices(body), eventsOf(body)]) assert.ok(Buffer.concat(slices).equals(body))
  assert.equal(eventsOf(body).length, 3)
})
