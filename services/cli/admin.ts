import type { Settings } from '../io/config/settings.ts'
import { Fault, textOf } from '../io/fault.ts'
import { readCredentials } from '../io/keys/credentials.ts'
import { runningStack } from '../io/stack.ts'

/** The admin routes of a running stack. */
export type Admin = {
  /** Answers the parsed body of a 2xx; throws a Fault with what the stack said otherwise. */
  call(method: Method, path: string, body?: unknown): Promise<unknown>
  /** The same, with the status. */
  ask(method: Method, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: unknown }>
}
type Method = 'GET' | 'POST' | 'DELETE'

/** An admin's answer is short; a stack that needs longer is not well. */
const timeoutMs = 10_000

/**
 * Finds the stack that runs at `SLUICE_URL` or on the data directory. Null where none is named and none runs: then the
 * directory may be opened by the command itself.
 */
export async function findAdmin(settings: Settings): Promise<Admin | null> {
  const url = settings.url ?? runningStack(settings.dataDir)?.gateway ?? null
  if (url === null) return null
  if (settings.url === null && !(await answers(url))) return null
  const token = settings.adminToken ?? readCredentials(settings)?.adminToken
  if (token === undefined)
    throw new Fault(
      'no_admin_token',
      `There is no admin token for ${url}; set SLUICE_ADMIN_TOKEN to the one its first start printed.`,
    )
  const admin: Admin = {
    call: async (method, path, body) => (await admin.ask(method, path, body)).body,
    async ask(method, path, body) {
      const response = await fetch(url + path, {
        method,
        headers: {
          authorization: `Bearer ${token.reveal()}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      }).catch(error => {
        throw new Fault('unreachable', `The stack at ${url} does not answer (${reasonOf(error)}); is it running?`, {
          cause: error,
        })
      })
      const answer: unknown = await response.json().catch(() => null)
      if (response.ok) return { status: response.status, body: answer }
      throw new Fault('refused', said(answer) ?? `The stack at ${url} answered ${response.status}.`)
    },
  }
  return admin
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(`${url}/health`, { signal: AbortSignal.timeout(timeoutMs) })
    return true
  } catch {
    return false // it is starting, stopping or gone
  }
}

/** `fetch failed` says nothing; what it failed of is in the cause. */
export const reasonOf = (error: unknown): string =>
  error instanceof Error && error.cause !== undefined ? (codeOf(error.cause) ?? textOf(error.cause)) : textOf(error)
const codeOf = (cause: unknown): string | null =>
  typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : null

function said(answer: unknown): string | null {
  const error = typeof answer === 'object' && answer !== null && 'error' in answer ? answer.error : null
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : null
}
