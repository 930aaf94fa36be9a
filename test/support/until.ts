import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until `check` gives something true, and gives it; throws after `ms`. A throw of `check` counts as "not yet". */
export async function until<T>(what: string, check: () => T | Promise<T>, ms = 10_000, everyMs = 10): Promise<T> {
  const deadline = performance.now() + ms
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`, { cause: last })
    await sleep(everyMs)
  }
}
