import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { EventLog } from '../../io/log/port.ts'
import { publishPolicy } from '../../io/policy/facts.ts'
import type { LivePolicy } from '../../io/policy/follow.ts'
import { problemsIn } from '../../io/policy/objects.ts'

export type PolicyAdmin = { readonly log: EventLog; readonly live: LivePolicy }

const policyRequest = z.strictObject({
  /** By id, in the words of the file. What is not among them is removed. */
  objects: z.record(z.string().min(1).max(200), z.unknown()),
  dryRun: z.boolean().default(false),
  actor: z.string().min(1).max(128).default('admin'),
})

/** A hundred thousand agents with a budget each. */
const policyBytes = 32 * 1024 * 1024

/** Of many mistakes the first ones are enough to begin with. */
const problemsShown = 20

/** How long an answer waits for this gateway to go by what was written: usually some milliseconds. */
const takenMs = 2_000

/** `POST /admin/policy` makes its objects the policy, `GET` tells the one in force. */
export function policyRoutes(admin: FastifyInstance, { log, live }: PolicyAdmin): void {
  admin.post('/policy', { bodyLimit: policyBytes }, async (request, reply) => {
    const wanted = policyRequest.safeParse(jsonOf(request.body))
    if (!wanted.success) return reply.code(400).send(invalid(z.prettifyError(wanted.error)))
    const { actor, dryRun } = wanted.data
    const objects = new Map(Object.entries(wanted.data.objects))
    const problems = problemsIn(objects)
    if (problems.length > 0) return reply.code(400).send(invalid(problems.slice(0, problemsShown).join('\n')))
    const published = await publishPolicy(log, objects, { actor, dryRun })
    if (!dryRun) await taken(live, published.number)
    return published
  })
  admin.get('/policy', async () => {
    const applied = live.applied()
    return applied === null
      ? { number: 0, policyVersion: live.config().policyVersion, objects: Object.fromEntries(live.config().objects) }
      : { ...applied, at: new Date(applied.at).toISOString(), objects: Object.fromEntries(applied.objects) }
  })
}

/** Whoever is answered may rely on it here; should this gateway be slow, it is written all the same. */
async function taken(live: LivePolicy, number: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>(resolve => {
    timer = setTimeout(resolve, takenMs)
  })
  await Promise.race([live.reached(number), late]).finally(() => clearTimeout(timer))
}

const invalid = (message: string) => ({ error: { code: 'invalid_request', message } })

function jsonOf(body: unknown): unknown {
  try {
    return typeof body === 'string' ? JSON.parse(body) : null
  } catch {
    return null // the schema says what was expected
  }
}
