import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { Config } from '../io/config/config.ts'
import type { TokenSigner } from '../io/keys/token-signer.ts'
import { type AdminOptions, adminRoutes } from './admin.ts'
import { oauthRoute } from './identity/route.ts'
import { serveReports } from './memory/reported.ts'
import type { Pipeline } from './parts.ts'
import { serve } from './pipeline.ts'
import { openai } from './protocols/protocols.ts'
import { runRoutes } from './runs/routes.ts'

/** What a gateway listens with: a door to the pipeline for whatever path, and the few routes of its own. */
export function openListener(options: {
  readonly limits: Config['limits']
  readonly pipeline: Pipeline
  readonly admin: AdminOptions
  readonly signer: TokenSigner
  readonly logger: Logger
}): FastifyInstance {
  const { limits, pipeline, admin, signer, logger } = options
  const { bodyBytes, headersTimeoutMs } = limits
  const door = (request: FastifyRequest, reply: FastifyReply): void => {
    reply.hijack()
    serve(pipeline, request.raw, reply.raw).catch(error => {
      // What the programmer broke: one call pays for it, loudly, and the others go on.
      logger.error({ err: error, path: request.raw.url?.split('?')[0] }, 'the pipeline threw')
      if (reply.raw.headersSent) return reply.raw.destroy()
      const { body, headers } = openai.refusal({
        code: 'internal_error',
        status: 500,
        message: 'The gateway failed; the call may have been made.',
      })
      reply.raw.writeHead(500, headers).end(body)
    })
  }
  const app = Fastify({
    // No logger of its own: a line per request would cost more than the request. What happened is in the log.
    logger: false,
    bodyLimit: bodyBytes,
    requestTimeout: 0, // a body may take long as long as it moves: the body reader watches
    keepAliveTimeout: 72_000, // longer than the idle time of common load balancers, which would else race with our close
    forceCloseConnections: true,
    http: { requestTimeout: 0, headersTimeout: headersTimeoutMs, connectionsCheckingInterval: 1_000 },
    frameworkErrors: (_error, request, reply) => door(request, reply),
  })
  // Whoever asks before sending a body that is too large is not told to go on.
  app.server.on('checkContinue', (req, res) => {
    if (!(Number(req.headers['content-length']) > bodyBytes)) res.writeContinue()
    app.server.emit('request', req, res)
  })
  // Bodies are read by the pipeline, after it knows whose they are.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))

  app.get('/health', async () => ({ status: 'ok' }))
  app.get('/ready', async (_request, reply) => {
    const ready = !pipeline.inFlight.draining && pipeline.recorder.waiting() === 0
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready' })
  })
  app.get('/metrics', async (_request, reply) =>
    reply.type(pipeline.metrics.contentType).send(await pipeline.metrics.text()),
  )
  app.post('/v1/events', (request, reply) => {
    reply.hijack()
    serveReports(pipeline, request.raw, reply.raw).catch(error => {
      logger.error({ err: error, path: '/v1/events' }, 'a report could not be taken')
      reply.raw.destroy()
    })
  })
  oauthRoute(app, { pipeline, signer, logger })
  runRoutes(app, { pipeline, adminToken: admin.token, logger })
  adminRoutes(app, admin)
  // In a hook, so that nothing of the body, not even its type, is looked at before the pipeline knows whose it is.
  app.all('/*', { onRequest: door }, () => {})
  app.setNotFoundHandler(door) // methods that the router has never heard of
  return app
}
