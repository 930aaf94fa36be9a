import type { Load, Loaded } from './load.ts'
import { type Part, startPart } from './processes.ts'
import { type Stack, startStack } from './stack.ts'

/** Everything that stands while the measurements are taken. */
export type Ground = {
  /** Shorter and fewer rounds: a look, not a figure to publish. */
  readonly quick: boolean
  /** The scripted upstream without anything between. */
  readonly direct: Target
  readonly bare: Target
  /** The gateway; in a run of the harness against itself a second bare proxy. */
  readonly gateway: Target
  readonly stack: Stack | null
  readonly drive: (target: Target, load: Order) => Promise<Loaded>
  /** Requests that the gateway has answered in this run, whoever asked. */
  readonly answered: () => number
  /** Told of each answer that did not come through `drive`. */
  readonly count: (answers: number) => void
  readonly stop: () => Promise<void>
}

export type Target = {
  readonly name: string
  readonly origin: string
  /** Whose CPU and memory it costs. */
  readonly pid: number
  readonly headers: Readonly<Record<string, string>>
}

export type Order = Pick<Load, 'shape' | 'seconds'> & { readonly model?: string; readonly stream?: boolean }

type Listening = { readonly origin: string }

export const layGround = async (options: { readonly quick: boolean; readonly self: boolean }): Promise<Ground> => {
  const upstream = await startPart<never, Listening>('upstream.ts', [])
  const bare = await startPart<never, Listening>('bare.ts', [upstream.ready.origin])
  const load = await startPart<Load, Loaded>('load.ts', [])
  const parts: Pick<Part<never, unknown>, 'stop'>[] = [upstream, bare, load]
  const stop = async (): Promise<void> => {
    for (const part of parts.toReversed()) await part.stop()
  }
  try {
    let stack: Stack | null = null
    let gateway: Target
    if (options.self) {
      const second = await startPart<never, Listening>('bare.ts', [upstream.ready.origin])
      parts.push(second)
      gateway = targetOf('gateway', second)
    } else {
      stack = await startStack(upstream.ready.origin)
      parts.push(stack)
      gateway = { name: 'gateway', origin: stack.origin, pid: stack.gatewayPid, headers: stack.headers }
    }
    let answered = 0
    let order = 0
    const count = (answers: number): void => {
      answered += answers
    }
    return {
      quick: options.quick,
      direct: targetOf('upstream', upstream),
      bare: targetOf('bare proxy', bare),
      gateway,
      stack,
      answered: () => answered,
      count,
      stop,
      drive: async (target, { model = 'bench', stream = false, ...rest }) => {
        const { origin, headers } = target
        const loaded = await load.ask({
          origin,
          headers,
          model,
          stream,
          runs: `bench-${process.pid}-${++order}`,
          ...rest,
        })
        if (target === gateway) count(loaded.answered)
        return loaded
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const targetOf = (name: string, part: Part<never, Listening>): Target => ({
  name,
  origin: part.ready.origin,
  pid: part.pid,
  headers: {},
})

/** Load that has to come through: a figure over refusals would be a figure of something else. */
export const clean = (loaded: Loaded, where: string): Loaded => {
  const all = loaded.answered + loaded.failed
  if (loaded.answered === 0 || loaded.failed > all / 100)
    throw new Error(`${where}: ${loaded.failed} of ${all} requests failed: ${loaded.faults.join('; ')}`)
  return loaded
}
