import { Fault } from './fault.ts'

/** An administrator is told that the log is away before the own patience ends. */
const patienceMs = 5_000

/** What the log owes an administrator, or the Fault `log_unavailable`; `said` goes on from "The log is away: within 5 s it". */
export async function within<T>(promise: Promise<T>, said: string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const message = `The log is away: within ${patienceMs / 1000} s it ${said}.`
  const timer = setTimeout(() => late.reject(new Fault('log_unavailable', message, { retriable: true })), patienceMs)
  promise.catch(() => {}) // of no interest once it is too late
  return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer))
}
