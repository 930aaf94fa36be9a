import type { Engine } from './engine.ts'

/** Between two attempts to cancel: a statement can be asked to stop a moment before the engine knows it. */
const killEveryMs = 250

/** Has the engine cancel what runs under `tag` once `stopped` fires, and asks again until told that it is over. */
export function killOnAbort(engine: Engine, tag: string, stopped: AbortSignal): { over(): void } {
  let timer: NodeJS.Timeout | undefined
  let asking = false
  const kill = async () => {
    if (asking) return
    asking = true
    // If the engine cannot be asked now, the next round asks again.
    await engine.kill(tag).catch(() => {})
    asking = false
  }
  const start = () => {
    void kill()
    timer = setInterval(kill, killEveryMs)
  }
  if (stopped.aborted) start()
  else stopped.addEventListener('abort', start, { once: true })
  return {
    over: () => {
      stopped.removeEventListener('abort', start)
      clearInterval(timer)
    },
  }
}
