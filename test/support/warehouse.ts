import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { WarehouseOptions } from '../../services/warehouse/warehouse.ts'

export type TestWarehouse = {
  readonly url: string
  readonly pid: number
  readonly dataDir: string
  readonly users: { readonly sluice: string; readonly analyst: string }
  /** Drains and ends the process; removes the directory unless it was given. */
  stop(): Promise<void>
  /** As if the power of the process went: nothing is flushed, nothing said. The directory stays. */
  kill9(): Promise<void>
}

export type TestWarehouseOptions = {
  /** Default: a temporary one. */
  readonly dataDir?: string
  readonly port?: number
  readonly analystLimits?: WarehouseOptions['analystLimits']
  readonly env?: Readonly<Record<string, string>>
}

const users = { sluice: 'sluice-password', analyst: 'analyst-password' }
/** Loading half a gigabyte of engine from a cold disk, on a busy machine. */
const startMs = 30_000

/** A real warehouse in a process of its own, as in production. `await using` stops it. */
export async function startTestWarehouse(options: TestWarehouseOptions = {}): Promise<TestWarehouse & AsyncDisposable> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'sluice-warehouse-')))
  const child = fork(new URL('./warehouse-process.ts', import.meta.url), {
    env: { ...process.env, UV_THREADPOOL_SIZE: '16', ...options.env },
    execArgv: [],
  })
  const remove = async () => {
    if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
  child.send({ dataDir, users, port: options.port ?? 0, analystLimits: options.analystLimits })
  try {
    const url = await started(child)
    const stop = async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      await remove()
    }
    return {
      url,
      pid: child.pid ?? 0,
      dataDir,
      users,
      stop,
      kill9: async () => {
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      },
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    child.kill('SIGKILL')
    await remove()
    throw error
  }
}

async function started(child: ChildProcess): Promise<string> {
  const limit = AbortSignal.timeout(startMs)
  const [message] = await Promise.race([
    once(child, 'message', { signal: limit }),
    once(child, 'exit', { signal: limit }).then(([code]) => [{ error: `the process ended with ${code}` }]),
  ])
  if ('error' in message) throw new Error(`the warehouse did not start: ${message.error}`)
  return String(message.url)
}
