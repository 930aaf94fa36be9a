import fastify from 'fastify'
import { Pool } from 'undici'

/**
 * What everything is compared with: the plainest proxy of the same two libraries. `pool.request` and `arrayBuffer`, both
 * JSON bodies read, no keys, no records, nothing else. Streams are piped. The upstream's origin is the one argument.
 */
const pool = new Pool(process.argv[2] ?? '', { connections: 256 })
const app = fastify({ bodyLimit: 32 * 2 ** 20 })

app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
app.post('/v1/chat/completions', async (request, reply) => {
  const body = request.body as Buffer // the parser above gives no other
  const asked: unknown = JSON.parse(body.toString())
  const headers = { 'content-type': 'application/json' }
  const answer = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body })
  reply.code(answer.statusCode).header('content-type', answer.headers['content-type'])
  if (typeof asked === 'object' && asked !== null && 'stream' in asked) return reply.send(answer.body)
  const bytes = Buffer.from(await answer.body.arrayBuffer())
  JSON.parse(bytes.toString())
  return reply.send(bytes)
})

process.on('disconnect', () => process.exit(0))
process.send?.({ origin: await app.listen({ port: 0, host: '127.0.0.1' }) })
