import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import type { TokenSigner } from '../../io/keys/token-signer.ts'
import { type BodyReader, HttpCaller, openBodyReader } from '../caller.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { refusals } from '../refusals.ts'
import { type Denied, exchangeToken } from './exchange.ts'
import { type OauthError, readTokenRequest } from './request.ts'

/** A form with two tokens. Who sends it has not shown a credential yet, so no more than that is read. */
const longestBody = 64 * 1024

/** `POST /oauth/token`: token exchange (RFC 8693). */
export function oauthRoute(
  app: FastifyInstance,
  options: { readonly pipeline: Pipeline; readonly signer: TokenSigner; readonly logger: Logger },
): void {
  const { pipeline, signer } = options
  const bodies = openBodyReader({ maxBytes: longestBody, idleMs: pipeline.limits.bodyIdleTimeoutMs })
  app.addHook('onClose', async () => bodies.close())
  app.post('/oauth/token', (request, reply) => {
    reply.hijack()
    answer(pipeline, signer, bodies, request.raw, reply.raw).catch(error => {
      options.logger.error({ err: error, path: '/oauth/token' }, 'a token could not be given')
      reply.raw.destroy()
    })
  })
}

async function answer(
  pipeline: Pipeline,
  signer: TokenSigner,
  bodies: BodyReader,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  const caller = new HttpCaller(req, res)
  const headers = [
    ...['x-sluice-request-id', pipeline.mintRequestId(), 'content-type', 'application/json'],
    // RFC 6749, 5.1: nobody between us keeps a token.
    ...['cache-control', 'no-store', 'pragma', 'no-cache'],
  ]
  const no = (error: OauthError, refusal: Refusal) => {
    pipeline.metrics.refused(refusal.code, null)
    const { code, status, message, retryAfterMs, facts } = refusal
    if (retryAfterMs !== undefined) headers.push('retry-after', String(Math.ceil(retryAfterMs / 1000)))
    // A body that was not read whole would be taken for the next request on this connection.
    if (!req.complete) headers.push('connection', 'close')
    caller.answer(status, headers, json({ error, error_description: message, code, ...facts }))
  }
  if (pipeline.inFlight.draining) return no('temporarily_unavailable', refusals.draining())
  const body = await bodies.read(req)
  if (body === 'cut') return
  if (body === 'too_slow') return no('invalid_request', refusals.tooSlow(pipeline.limits.bodyIdleTimeoutMs))
  if (body === 'too_large') return no('invalid_request', refusals.tooLarge(longestBody))
  const request = readTokenRequest(body, req.headers)
  if ('error' in request) return no(request.error, refusals.invalid(request.message))
  const given = await exchangeToken(pipeline, signer, request)
  if (isDenied(given)) return no(given.error, given.refusal)
  caller.answer(200, headers, json(given))
}

const isDenied = (given: object): given is Denied => 'refusal' in given
const json = (value: object): Buffer => Buffer.from(JSON.stringify(value))
