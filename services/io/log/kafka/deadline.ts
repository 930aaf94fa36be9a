import { Fault } from '../../fault.ts'

/** Milliseconds of a clock that never jumps. */
export const now = (): number => performance.now()

/** The promise, or after `ms` the Fault `log_unavailable`. What it stood for goes on; its end is of no interest then. */
export const within = <T>(ms: number, what: string, promise: Promise<T>): Promise<T> =>
  orElse(ms, () => unavailable(`Kafka did not ${what} within ${Math.round(ms)} ms`), promise)

/** The promise, or after `ms` what `fault` says. */
export async function orElse<T>(ms: number, fault: () => Fault, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(fault()), Math.max(0, ms))
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Whether the promise was settled, well or ill, before `ms` were over. */
export async function inTime(ms: number, promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  )
  return (await unless(AbortSignal.timeout(ms), settled)) === true
}

/** Sleeps, at most until the signal falls. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const wake = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal?.addEventListener('abort', wake)
  })
}

export const untilFallen = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** The promise's value, or null as soon as the signal falls; a later failure of the promise is then of no interest. */
export async function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | null> {
  let fall: (() => void) | undefined
  const fallen = new Promise<null>(resolve => {
    fall = () => resolve(null)
    if (signal.aborted) resolve(null)
    else signal.addEventListener('abort', fall)
  })
  promise.catch(() => {})
  try {
    return await Promise.race([promise, fallen])
  } finally {
    if (fall) signal.removeEventListener('abort', fall)
  }
}

/** Falls `ms` after the signal. */
export function lateBy(ms: number, signal: AbortSignal): AbortSignal {
  const late = new AbortController()
  const fall = () => setTimeout(() => late.abort(), ms).unref()
  if (signal.aborted) fall()
  else signal.addEventListener('abort', fall, { once: true })
  return late.signal
}

/** Asks until Kafka is there; null when the signal fell before. Whatever else is wrong is thrown. */
export async function patiently<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T | null> {
  for (let waitMs = firstWaitMs; !signal.aborted; waitMs = nextWait(waitMs)) {
    try {
      return await unless(signal, act())
    } catch (error) {
      if (!(error instanceof Fault) || error.code !== 'log_unavailable') throw error
      await pause(waitMs, signal)
    }
  }
  return null
}

/**
 * Waits between attempts: short at first, since most faults are a leader that moved; never above half a second, so that
 * a broker that is back is noticed within one.
 */
export const firstWaitMs = 50
export const nextWait = (waitMs: number): number => Math.min(waitMs * 2, 500)

export const unavailable = (message: string, cause?: unknown): Fault =>
  new Fault('log_unavailable', message, { retriable: true, cause })
