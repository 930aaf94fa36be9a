import fs from 'node:fs'
import path from 'node:path'
import { replaceFile } from './epoch.ts'

/** What runs on a data directory: how commands find it. */
export type Stack = {
  /** Of the supervisor. */
  readonly pid: number
  readonly roles: readonly string[]
  readonly gateway: string | null
  readonly warehouse: string | null
}

const fileIn = (dataDir: string): string => path.join(dataDir, 'stack.json')

export const writeStack = (dataDir: string, stack: Stack): void =>
  replaceFile(fileIn(dataDir), `${JSON.stringify(stack, null, 2)}\n`)

/** Removes the entry of this process; what another one wrote meanwhile stays. */
export function removeStack(dataDir: string): void {
  if (read(dataDir)?.pid === process.pid) fs.rmSync(fileIn(dataDir), { force: true })
}

/** Null where none runs: a file left behind by a stack that was killed is not one. */
export function runningStack(dataDir: string): Stack | null {
  const stack = read(dataDir)
  return stack !== null && isSupervisor(stack.pid) ? stack : null
}

function read(dataDir: string): Stack | null {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(fileIn(dataDir), 'utf8'))
    if (typeof value !== 'object' || value === null || !('pid' in value) || typeof value.pid !== 'number') return null
    const { gateway, warehouse, roles } = value as Partial<Stack> // ours by its `pid`; the rest is checked here
    return {
      pid: value.pid,
      roles: Array.isArray(roles) ? roles : [],
      gateway: typeof gateway === 'string' ? gateway : null,
      warehouse: typeof warehouse === 'string' ? warehouse : null,
    }
  } catch {
    return null // no file, or one that was cut off: nothing runs that could be found by it
  }
}

/** A process id is given again to others, so on Linux the name is looked at too. */
function isSupervisor(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sluice:supervisor')
  } catch {
    return !fs.existsSync('/proc/self') // elsewhere the id has to do
  }
}
