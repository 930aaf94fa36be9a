import { setTimeout as sleep } from 'node:timers/promises'
import type { Chance } from './chance.ts'
import { alive, type Stack } from './stack.ts'
import { until } from './until.ts'

/** Kills at random moments, in random order, everybody equally often; until it is stopped. */
export type Chaos = {
  /** How often each was killed. */
  readonly kills: Readonly<Record<string, number>>
  /** Resolves when the last act is over. */
  stop(): Promise<void>
}

export function startChaos(options: {
  readonly chance: Chance
  /** The pause between two acts, in milliseconds. */
  readonly pauseMs: readonly [from: number, to: number]
  readonly acts: Readonly<Record<string, () => Promise<boolean>>>
}): Chaos {
  const { chance, acts } = options
  const kills: Record<string, number> = {}
  const closing = new AbortController()
  let failed: unknown = null
  const run = async () => {
    for (let left: string[] = []; ; ) {
      await sleep(chance.between(...options.pauseMs), undefined, { signal: closing.signal }).catch(() => {})
      if (closing.signal.aborted) return
      if (left.length === 0) left = Object.keys(acts)
      const [name] = left.splice(chance.between(0, left.length), 1)
      if (name !== undefined && (await acts[name]?.())) kills[name] = (kills[name] ?? 0) + 1
    }
  }
  const running = run().catch(error => {
    failed = error
  })
  return {
    kills,
    async stop() {
      closing.abort()
      await running
      if (failed !== null) throw failed
    },
  }
}

/** kill -9 of one process of that title; resolves when it is gone, with false where none runs just now. */
export const kill9 = (stack: Stack, title: string, chance: Chance) => async (): Promise<boolean> => {
  const found = stack.processes().filter(process => process.title === `sluice:${title}`)
  const victim = found[chance.between(0, found.length)]
  if (victim === undefined) return false
  process.kill(victim.pid, 'SIGKILL')
  await until('its end', () => !alive(victim.pid))
  return true
}
