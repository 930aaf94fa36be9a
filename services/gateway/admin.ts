import { timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { Fault, textOf } from '../io/fault.ts'
import { createKey, listKeys, revokeKey } from '../io/keys/keys.ts'
import { revokeSigner } from '../io/keys/signers.ts'
import type { EventLog } from '../io/log/port.ts'
import type { LivePolicy } from '../io/policy/follow.ts'
import { budgetRoutes } from './money/admin.ts'
import { policyRoutes } from './policy/admin.ts'

/** What the admin token opens. Each act is a fact on the log; a gateway is only the door. */
export type AdminOptions = {
  readonly token: string
  readonly log: EventLog
  readonly live: LivePolicy
  readonly ledgerOwners: number
}

const keyRequest = z.strictObject({ agent: z.string().min(1).max(128) })

/** An admin's body is a line of JSON. */
const adminBodyBytes = 64 * 1024

export function adminRoutes(app: FastifyInstance, options: AdminOptions): void {
  app.register(
    async admin => {
      admin.removeAllContentTypeParsers()
      admin.addContentTypeParser('*', { parseAs: 'string', bodyLimit: adminBodyBytes }, (_request, body, done) =>
        done(null, body),
      )
      admin.addHook('onRequest', async (request, reply) => {
        const given = request.headers.authorization?.replace(/^bearer /i, '') ?? ''
        if (!same(given, options.token))
          await reply
            .code(401)
            .send(problem('unauthenticated', 'The admin routes want the admin token as a bearer token.'))
      })
      admin.setErrorHandler((error, _request, reply) => {
        if (error instanceof Fault && error.retriable)
          return reply.code(503).header('retry-after', '5').send(problem(error.code, error.message))
        if (error instanceof Fault && error.code === 'invalid_agent')
          return reply.code(400).send(problem('invalid_request', error.message))
        const status = z.object({ statusCode: z.number().min(400).max(599) }).safeParse(error)
        return reply.code(status.success ? status.data.statusCode : 500).send(problem('failed', textOf(error)))
      })

      policyRoutes(admin, options)
      budgetRoutes(admin, options)
      admin.post('/keys', async (request, reply) => {
        const body = parsed(request.body)
        const wanted = keyRequest.safeParse(body)
        if (!wanted.success) return reply.code(400).send(problem('invalid_request', z.prettifyError(wanted.error)))
        return reply.code(201).send(await createKey(options.log, wanted.data.agent))
      })
      admin.get('/keys', async () => ({ keys: await listKeys(options.log) }))
      admin.delete<{ Params: { id: string } }>('/keys/:id', async (request, reply) => {
        const { id } = request.params
        const row = await revokeKey(options.log, id)
        return row === null ? reply.code(404).send(problem('not_found', `There is no key ${id}.`)) : row
      })
      admin.delete<{ Params: { id: string } }>('/signers/:id', async (request, reply) => {
        const { id } = request.params
        const isKnown = await revokeSigner(options.log, id)
        return isKnown ? { id } : reply.code(404).send(problem('not_found', `There is no signer ${id}.`))
      })
    },
    { prefix: '/admin' },
  )
}

const problem = (code: string, message: string) => ({ error: { code, message } })

function parsed(body: unknown): unknown {
  try {
    return typeof body === 'string' ? JSON.parse(body) : null
  } catch {
    return null // the schema says what was expected
  }
}

/** Compares without telling by its time how much was right. */
export function same(given: string, token: string): boolean {
  const a = Buffer.from(given)
  const b = Buffer.from(token)
  return a.length === b.length && timingSafeEqual(a, b)
}
