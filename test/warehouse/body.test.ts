import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { Bodies, type BodyLimits } from '../../services/warehouse/body.ts'

const limits: BodyLimits = { bodyBytes: 100_000, heldBytes: 150_000, stallMs: 200 }

/** A server that takes bodies and says what became of them; a body of `hold` bytes is kept until the server closes. */
async function bodyServer(hold = -1) {
  const bodies = new Bodies(limits)
  const server = createServer(async (incoming, response) => {
    try {
      const { bytes, release } = await bodies.read(incoming)
      if (bytes.length !== hold) release()
      response.end(`took ${bytes.length}`)
    } catch (error) {
      response.end(error instanceof Error ? `${error.name} ${'type' in error ? error.type : ''}` : '')
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const send = async (body: Uint8Array<ArrayBuffer>, headers = {}) =>
    (await fetch(`http://127.0.0.1:${port}`, { method: 'POST', body, headers })).text()
  return { port, send, [Symbol.asyncDispose]: async () => void server.close() }
}

test('a body is taken up to its limit, unpacked too', async () => {
  await using server = await bodyServer()
  const gzip = { 'content-encoding': 'gzip' }
  assert.equal(await server.send(new Uint8Array(100_000)), 'took 100000')
  assert.equal(await server.send(new Uint8Array(100_001)), 'QueryException QUERY_IS_TOO_LARGE')
  assert.equal(await server.send(new Uint8Array(gzipSync(Buffer.alloc(100_000))), gzip), 'took 100000')
  assert.equal(
    await server.send(new Uint8Array(gzipSync(Buffer.alloc(50_000_000))), gzip),
    'QueryException QUERY_IS_TOO_LARGE',
  )
  assert.equal(
    await server.send(new Uint8Array(gzipSync(Buffer.alloc(9)).subarray(0, 12)), gzip),
    'QueryException CANNOT_PARSE_TEXT',
  )
  assert.equal(await server.send(new Uint8Array(9), { 'content-encoding': 'lz4' }), 'QueryException NOT_IMPLEMENTED')
})

test('all bodies together have a limit, and what was given back counts no more', async () => {
  await using server = await bodyServer(90_000)
  for (let round = 0; round < 5; round += 1) assert.equal(await server.send(new Uint8Array(80_000)), 'took 80000')
  assert.equal(await server.send(new Uint8Array(90_000)), 'took 90000')
  assert.equal(await server.send(new Uint8Array(80_000)), 'QueryException TOO_MANY_SIMULTANEOUS_QUERIES')
  assert.equal(await server.send(new Uint8Array(50_000)), 'took 50000')
})

test('a body that stops moving is not waited for', async () => {
  await using server = await bodyServer()
  const sending = request({ port: server.port, host: '127.0.0.1', method: 'POST', headers: { 'content-length': 10 } })
  sending.write('12345')
  const started = performance.now()
  await assert.rejects(once(sending, 'response'))
  assert.ok(performance.now() - started < 5000)
})
