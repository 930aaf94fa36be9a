import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { allDoors, doors } from '../support/doors.ts'
import { send, startTestGateway } from '../support/gateway.ts'
import { startUpstream } from '../support/upstream.ts'
import { honest } from '../support/upstream-lies.ts'
import { answersJson, fails, resetsAtOnce, thenCloses } from '../support/upstream-replies.ts'

const chat = doors[0]!
const largeBody = chat.body(false, 'x'.repeat(8_000_000))

/** A server that does something with each connection's first bytes and reads no more of them. */
async function startRude(t: TestContext, answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server: Server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.pause()
      answer(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}` // listening on TCP, so not a pipe's name
}

test('a refusal that comes before the request was read reaches the client, however the connection ends', async t => {
  const text = JSON.stringify({ error: { message: 'too large', type: 'invalid_request_error', code: null } })
  const refusal = `HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${text.length}\r\n\r\n${text}`
  let ending: (socket: Socket) => void = () => {}
  const origin = await startRude(t, socket => socket.write(refusal, () => ending(socket)))
  const gateway = await startTestGateway(t, { config: allDoors(origin, { timeoutMs: 2_000 }) })
  for (const how of ['stays', 'closes', 'is destroyed'] as const) {
    ending = socket => {
      if (how === 'closes') socket.end()
      if (how === 'is destroyed') socket.destroy()
    }
    const answer = await send(gateway.url + chat.path(false), {
      body: largeBody,
      headers: { 'x-api-key': gateway.key },
    })
    assert.deepEqual([answer.status, answer.text], [413, text], `the connection ${how}`)
  }
  const rows = await gateway.facts(events => events.filter(event => event.type === 'llm.completed').length === 3)
  for (const row of rows.filter(event => event.type === 'llm.completed'))
    assert.partialDeepStrictEqual(row, { outcome: 'error', reason: 'http_413', http_status: 413 })
})

test('an upstream that stops reading the request is given up in time', async t => {
  const origin = await startRude(t, () => {})
  const gateway = await startTestGateway(t, { config: allDoors(origin, { timeoutMs: 500 }) })
  const answer = await send(gateway.url + chat.path(false), { body: largeBody, headers: { 'x-api-key': gateway.key } })
  assert.equal(answer.status, 504)
  assert.equal(chat.codeIn(JSON.parse(answer.text)), 'upstream_timeout')
})

test('a connection that is never made is given up in time', async t => {
  const { port, release } = await deafPort()
  t.after(release)
  const gateway = await startTestGateway(t, { config: allDoors(`http://127.0.0.1:${port}`, { timeoutMs: 500 }) })
  const began = performance.now()
  const answer = await send(gateway.url + chat.path(false), {
    body: chat.body(false),
    headers: { 'x-api-key': gateway.key },
  })
  assert.equal(answer.status, 504)
  assert.equal(chat.codeIn(JSON.parse(answer.text)), 'upstream_timeout')
  assert.ok(performance.now() - began < 3_000)
})

/** A port whose process sleeps while its queue of connections is full: the next one hangs. */
async function deafPort(): Promise<{ readonly port: number; readonly release: () => void }> {
  const listening = `require('net').createServer().listen({port:0,host:'127.0.0.1',backlog:1},function(){console.log(this.address().port)})`
  const child = spawn(process.execPath, ['-e', listening], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout, 'data')
  const port = Number(String(line))
  child.kill('SIGSTOP')
  const waiting: Socket[] = []
  for (let answered = true; answered; ) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    waiting.push(socket)
    answered = await Promise.race([once(socket, 'connect').then(() => true), sleep(150).then(() => false)])
  }
  return {
    port,
    release: () => {
      for (const socket of waiting) socket.destroy()
      child.kill('SIGKILL')
    },
  }
}

test('an upstream may close its connection after each answer: no call fails for it', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const gateway = await startTestGateway(t, { config: allDoors(up.origin) })
  up.always(thenCloses(answersJson(chat.answer)))
  for (let i = 0; i < 20; i++) {
    const answer = await send(gateway.url + chat.path(false), {
      body: chat.body(false),
      headers: { 'x-api-key': gateway.key },
    })
    assert.equal(answer.status, 200, `call ${i + 1}: ${answer.text}`)
  }
})

test('where a retry is configured it waits as long as the upstream asks, and what went wrong stands in the row', async t => {
  const up = await startUpstream()
  t.after(up.close)
  const retry = { attempts: 3, baseMs: 1, maxMs: 5 }
  const gateway = await startTestGateway(t, { config: allDoors(up.origin, { retry, timeoutMs: 2_000 }) })
  const tries = new Map<string, number>()
  up.always(request => {
    const name = request.header('x-test') ?? ''
    const n = (tries.get(name) ?? 0) + 1
    tries.set(name, n)
    const door = doors.find(door => name.startsWith(door.name)) ?? chat
    return n === 1 ? fails(503, {}, '1') : n === 2 ? resetsAtOnce() : honest(door, name.endsWith('stream'))
  })
  const calls = doors.flatMap(door => [
    { door, stream: false, name: `${door.name} whole` },
    { door, stream: true, name: `${door.name} stream` },
  ])
  await Promise.all(
    calls.map(async ({ door, stream, name }) => {
      const began = performance.now()
      const headers = { 'x-api-key': gateway.key, 'x-test': name }
      const answer = await send(gateway.url + door.path(stream), { body: door.body(stream), headers })
      assert.deepEqual([answer.status, answer.headers['x-sluice-attempts']], [200, '3'], name)
      assert.ok(performance.now() - began >= 1_000, `${name} did not wait`)
    }),
  )
  const rows = await gateway.facts(
    events => events.filter(event => event.type === 'llm.completed').length === calls.length,
  )
  for (const row of rows.filter(event => event.type === 'llm.completed')) {
    assert.partialDeepStrictEqual(row, { outcome: 'success', attempts: 3, input_tokens: 10 })
    assert.deepEqual(
      row.data?.attempts?.map(({ status, error }) => [status, error]),
      [
        [503, 'http_503'],
        [undefined, 'upstream_reset'],
        [200, undefined],
      ],
    )
  }
})
