import { Fault, textOf } from '../io/fault.ts'
import type { Logger } from '../io/logger.ts'
import type { Facts, FromProcess, ToProcess } from './messages.ts'

/** A role that runs. */
export type Running = {
  /** What the supervisor is told when it is up: its URL. */
  readonly facts?: Facts
  /** Takes nothing new, finishes what it holds, and lets go of everything. */
  close(): Promise<void>
}

/** Without a supervisor nobody else would end a process that hangs while it drains. */
const drainAloneMs = 10_000

/**
 * The life of a supervised process: start, say so, run until told to stop, drain, end. Where the supervisor is gone
 * (its channel closes) the process drains by itself. A signal that arrives here is passed to the supervisor first, which
 * knows whether all are to stop, and in which order.
 */
export async function live(options: {
  readonly title: string
  readonly logger: Logger
  readonly flush: () => void
  readonly start: () => Promise<Running>
}): Promise<void> {
  const { logger, flush } = options
  process.title = options.title
  const { promise: told, resolve: stop } = Promise.withResolvers<string>()
  process.on('message', message => (message as ToProcess).kind === 'stop' && stop('the supervisor says so')) // our own program
  process.on('disconnect', () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), drainAloneMs).unref()
    stop('the supervisor is gone')
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => (process.connected ? void tell({ kind: 'signalled', signal }) : stop(signal)))
  // What nobody expected ends the process here and now, whatever a native library still has under way: `exit` would
  // wait for it. The log holds what was promised.
  const crash = (thrown: unknown) => {
    logger.fatal({ err: thrown }, 'crashed')
    flush()
    process.kill(process.pid, 'SIGKILL')
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)

  const started = options.start().catch(async (thrown: unknown) => {
    const fault = faultOf(thrown)
    if (fault.code === 'start_failed') logger.fatal({ err: thrown }, 'could not start')
    await tell({ kind: 'failed', code: fault.code, message: fault.message })
    return null
  })
  // Told to stop while it starts, it holds nothing yet that would have to be drained.
  const running = await Promise.race([started, told.then(() => null)])
  if (running === null) return end(1, flush)
  await tell({ kind: 'ready', facts: running.facts ?? {} })
  logger.info(`stopping: ${await told}`)
  await running.close()
  logger.info('stopped')
  end(0, flush)
}

function end(code: number, flush: () => void): void {
  flush()
  process.exit(code)
}

/** Resolves when it is written, for a process that ends right after would take it along. */
const tell = (message: FromProcess): Promise<void> =>
  new Promise(resolve =>
    process.connected ? process.send?.(message, undefined, undefined, () => resolve()) : resolve(),
  )

function faultOf(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown
  const { code, address, port } = thrown as { code?: unknown; address?: unknown; port?: unknown } // Node's system errors
  if (code === 'EADDRINUSE') return new Fault('port_taken', `Port ${port} on ${address} is taken by another program.`)
  return new Fault('start_failed', textOf(thrown), { cause: thrown })
}
