import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { same } from '../admin.ts'
import { HttpCaller } from '../caller.ts'
import type { Pipeline } from '../parts.ts'
import type { Refusal } from '../protocols/protocol.ts'
import { openai } from '../protocols/protocols.ts'
import { readJson } from '../read.ts'
import { refusals } from '../refusals.ts'
import { refusalAnswer } from '../refuse.ts'
import { actOnScope, scopeActs, scopeView } from '../stops/acts.ts'
import { type Act, actOn, acts } from './acts.ts'
import { type Asker, type Outcome, theirs } from './asker.ts'
import { openRun } from './open.ts'
import { isMinted } from './runs.ts'
import { viewOf } from './view.ts'

type Answer = { readonly status: number; readonly runId?: string; readonly body: object } | Refusal

/**
 * The run as an object: `POST /v1/runs`, `GET /v1/runs/{id}`, `POST /v1/runs/{id}/{pause,resume,kill,finish}`; and for
 * admins what stands above runs: `GET /admin/scopes/{scope}`, `POST /admin/scopes/{scope}/{pause,resume,kill}`.
 */
export function runRoutes(
  app: FastifyInstance,
  options: { readonly pipeline: Pipeline; readonly adminToken: string; readonly logger: Logger },
): void {
  const { pipeline, logger } = options
  const serve = (
    req: IncomingMessage,
    res: ServerResponse,
    act: (asker: Asker, body: unknown) => Promise<Answer>,
  ): void => {
    answer(pipeline, options.adminToken, req, res, act).catch(error => {
      logger.error({ err: error, path: '/v1/runs' }, 'a run could not be served')
      res.destroy()
    })
  }
  app.post('/v1/runs', (request, reply) => {
    reply.hijack()
    serve(request.raw, reply.raw, async (asker, body) => shown(pipeline, await openRun(pipeline, asker, body)))
  })
  app.get<{ Params: { id: string } }>('/v1/runs/:id', (request, reply) => {
    reply.hijack()
    serve(request.raw, reply.raw, async asker => {
      const run = await theirs(pipeline, asker, request.params.id)
      return shown(pipeline, run === null ? refusals.notYours(request.params.id) : { run, status: 200 })
    })
  })
  app.post<{ Params: { id: string; act: string } }>('/v1/runs/:id/:act', (request, reply) => {
    reply.hijack()
    const { id, act } = request.params
    serve(request.raw, reply.raw, async (asker, body) => {
      if (!isAct(act)) return refusals.noSuchRoute('POST', `/v1/runs/{id}/${act}`)
      const run = await theirs(pipeline, asker, id)
      if (run !== null) return shown(pipeline, await actOn(pipeline, asker, run, act, body))
      // Another gateway has named it, and its word does not come: an admin's stop does not wait for that.
      const blind = asker.agent === null && isMinted(id) ? scopeActs.find(one => one === act) : undefined
      return blind === undefined ? refusals.notYours(id) : actOnScope(pipeline, `run:${id}`, blind, body)
    })
  })
  app.get<{ Params: { scope: string } }>('/admin/scopes/:scope', (request, reply) => {
    reply.hijack()
    serve(request.raw, reply.raw, async asker =>
      asker.agent === null
        ? { status: 200, body: scopeView(pipeline, request.params.scope) }
        : refusals.unauthenticated(),
    )
  })
  app.post<{ Params: { scope: string; act: string } }>('/admin/scopes/:scope/:act', (request, reply) => {
    reply.hijack()
    const { scope, act } = request.params
    serve(request.raw, reply.raw, async (asker, body) => {
      if (asker.agent !== null) return refusals.unauthenticated()
      const known = scopeActs.find(one => one === act)
      return known === undefined
        ? refusals.noSuchRoute('POST', `/admin/scopes/{scope}/${act}`)
        : actOnScope(pipeline, scope, known, body)
    })
  })
}

const shown = (pipeline: Pipeline, outcome: Outcome): Answer =>
  'code' in outcome ? outcome : { status: outcome.status, runId: outcome.run.id, body: viewOf(pipeline, outcome.run) }

const isAct = (text: string): text is Act => acts.some(act => act === text)

async function answer(
  pipeline: Pipeline,
  adminToken: string,
  req: IncomingMessage,
  res: ServerResponse,
  act: (asker: Asker, body: unknown) => Promise<Answer>,
): Promise<void> {
  const caller = new HttpCaller(req, res)
  const headers = ['x-sluice-request-id', pipeline.mintRequestId()]
  const no = (refusal: Refusal) => {
    pipeline.metrics.refused(refusal.code, null)
    refusalAnswer(caller, openai, refusal, headers)
  }
  const asker = askerOf(pipeline, adminToken, req)
  if (asker === null) return no(refusals.unauthenticated())
  if (pipeline.inFlight.draining) return no(refusals.draining())
  const body = await pipeline.bodies.read(req)
  if (body === 'cut') return
  if (body === 'too_large') return no(refusals.tooLarge(pipeline.limits.bodyBytes))
  if (body === 'too_slow') return no(refusals.tooSlow(pipeline.limits.bodyIdleTimeoutMs))
  const json = body.length === 0 ? { value: {} } : readJson(body)
  if ('unreadable' in json) return no(refusals.invalid(json.unreadable))
  const outcome = await act(asker, json.value)
  if ('code' in outcome) return no(outcome)
  if (outcome.runId !== undefined) headers.push('x-sluice-run-id', outcome.runId)
  headers.push('content-type', 'application/json')
  caller.answer(outcome.status, headers, Buffer.from(JSON.stringify(outcome.body)))
}

function askerOf(pipeline: Pipeline, adminToken: string, req: IncomingMessage): Asker | null {
  const given = req.headers.authorization?.replace(/^bearer /i, '') ?? ''
  if (same(given, adminToken)) return { name: 'admin', agent: null }
  const agent = pipeline.identities.of(req.headers, (req.url ?? '').split('?')[1] ?? '')
  return agent === null ? null : { name: `agent:${agent.agent}`, agent }
}
