import { type ChildProcess, fork } from 'node:child_process'
import { Fault } from '../io/fault.ts'
import type { Logger } from '../io/logger.ts'
import { type Facts, type FromProcess, hopeless, type ToProcess } from './messages.ts'

/** One process that is to run: started again whenever it ends, until the seat is given up. */
export type ProcessSpec = {
  /** Unique, for the log: `gateway-0`. */
  readonly name: string
  readonly entry: string
  readonly args: readonly string[]
  /** Options of Node's own; none where it is left out. */
  readonly execArgv?: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Lower ones are drained first. */
  readonly drainOrder: number
}

export type Seat = {
  readonly spec: ProcessSpec
  /** What the process said when it was up for the first time; rejects where it never will be. */
  readonly ready: Promise<Facts>
  /** Asks the process to drain and resolves when it is gone; by SIGKILL where it takes longer than `ms`. Can be asked again, with less patience. */
  stop(ms: number): Promise<void>
}

export type Pace = {
  /** Waits between starts double from the first to the last. */
  readonly firstMs: number
  readonly lastMs: number
  /** A process that lived this long has earned a quick start again. */
  readonly stableMs: number
  /** How long a signal of the supervisor's own is waited for after a process got one: whole groups are signalled at once. */
  readonly groupMs: number
}
export const pace: Pace = { firstMs: 100, lastMs: 5000, stableMs: 60_000, groupMs: 250 }

export function occupy(spec: ProcessSpec, logger: Logger, { firstMs, lastMs, stableMs, groupMs }: Pace = pace): Seat {
  const { promise: ready, resolve, reject } = Promise.withResolvers<Facts>()
  ready.catch(() => {}) // told through `ready` to whoever waits for it; nobody may
  let up = false
  let stopping = false
  let lost = false
  let crashes = 0
  let child: ChildProcess | null = null
  let timer: NodeJS.Timeout | null = null
  const over = Promise.withResolvers<void>()

  const start = () => {
    timer = null
    const startedAt = performance.now()
    const stdio = ['ignore', 2, 'inherit', 'ipc'] as ('ignore' | 'inherit' | 'ipc' | number)[] // stdout is the banner's alone
    const process = fork(spec.entry, spec.args, { env: { ...spec.env }, stdio, execArgv: [...(spec.execArgv ?? [])] })
    child = process
    process.on('message', message => hear(process, message as FromProcess)) // only our own program is at the other end
    process.on('error', error => {
      logger.error({ err: error }, `${spec.name} cannot be started or spoken to`)
      if (process.pid === undefined) ended('could not be started', startedAt)
    })
    process.on('exit', (code, signal) =>
      ended(signal === null ? `ended with code ${code}` : `was ended by ${signal}`, startedAt),
    )
  }

  const ended = (how: string, startedAt: number) => {
    const pid = child?.pid
    child = null
    if (stopping) return over.resolve()
    if (lost) return
    if (performance.now() - startedAt >= stableMs) crashes = 0
    const waitMs = Math.min(firstMs * 2 ** crashes, lastMs)
    crashes++
    const facts = { child: pid, restart: crashes, waitMs }
    logger.warn(facts, `${spec.name} ${how}; starting it again in ${waitMs} ms`)
    timer = setTimeout(start, waitMs)
  }

  const hear = (from: ChildProcess, message: FromProcess) => {
    switch (message.kind) {
      case 'ready':
        logger[up ? 'warn' : 'info'](
          { child: from.pid, ...message.facts },
          up ? `${spec.name} is up again` : `${spec.name} is up`,
        )
        up = true
        return resolve(message.facts)
      case 'failed':
        lost = !up && hopeless.includes(message.code)
        if (lost) return reject(new Fault(message.code, message.message))
        // What the process could not name it has logged itself, with all there is to know.
        if (message.code !== 'start_failed')
          logger.error({ child: from.pid, code: message.code }, `${spec.name}: ${message.message}`)
        return
      case 'signalled':
        setTimeout(() => stopping || tell(from, { kind: 'stop' }), groupMs)
        return
      default:
        message satisfies never
    }
  }

  start()
  return {
    spec,
    ready,
    async stop(ms) {
      stopping = true
      if (timer !== null) clearTimeout(timer)
      if (child === null) return
      tell(child, { kind: 'stop' })
      const patience = setTimeout(() => {
        logger.warn({ child: child?.pid }, `${spec.name} has not ended within ${Math.round(ms)} ms; it is killed`)
        child?.kill('SIGKILL')
      }, ms)
      await over.promise
      clearTimeout(patience)
    },
  }
}

function tell(process: ChildProcess, message: ToProcess): void {
  // Where the channel is closed already the process is on its way out, for that is what it does then.
  if (process.connected) process.send(message, () => {})
}
