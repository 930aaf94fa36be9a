import type { Logger } from 'pino'
import { textOf } from '../io/fault.ts'

/** Tries until it works; throws only when `signal` falls, and then whatever the last try threw. */
export type Persist = <T>(act: () => Promise<T>, signal: AbortSignal) => Promise<T>

/** Soon enough for a restart of a second; seldom enough not to hammer one that is busy coming up. */
const firstMs = 100
const longestMs = 5_000
/** An outage is told at its beginning, at its end, and this often between. */
const tellAgainMs = 60_000

/**
 * What the sink needs may be away for hours; its facts wait on the log. One patience for all partitions, so that an
 * outage is one line in the log and not one for each.
 */
export function makePatience(
  logger: Pick<Logger, 'info' | 'warn'>,
  onAway: (away: boolean) => void = () => {},
): Persist {
  let awaySince: number | null = null
  let toldAt = 0

  const tell = (error: unknown) => {
    const now = performance.now()
    if (awaySince === null) onAway(true)
    awaySince ??= now
    if (toldAt !== 0 && now - toldAt < tellAgainMs) return
    toldAt = now
    const awayS = Math.round((now - awaySince) / 1000)
    logger.warn(
      { awayS, error: textOf(error).slice(0, 500) },
      'rows cannot be stored; they wait on the log and are tried again',
    )
  }
  const back = () => {
    if (awaySince === null) return
    logger.info({ awayS: Math.round((performance.now() - awaySince) / 1000) }, 'rows are stored again')
    awaySince = null
    toldAt = 0
    onAway(false)
  }

  return async (act, signal) => {
    for (let ms = firstMs; ; ms = Math.min(ms * 2, longestMs)) {
      try {
        const result = await act()
        back()
        return result
      } catch (error) {
        if (signal.aborted) throw error
        tell(error)
        await pause(ms, signal)
        if (signal.aborted) throw error
      }
    }
  }
}

/** Sleeps, at most until the signal falls. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const wake = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal.addEventListener('abort', wake)
  })
}
