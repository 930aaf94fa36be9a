import { type ChildProcess, fork } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A part of the bench in a process of its own, spoken to by messages. */
export type Part<Command, Reply> = {
  readonly pid: number
  /** What it said when it was ready. */
  readonly ready: Reply
  /** One command at a time. Rejects when the process ends instead of answering. */
  readonly ask: (command: Command) => Promise<Reply>
  readonly stop: () => Promise<void>
}

export const startPart = async <Command extends object, Reply>(
  file: string,
  args: readonly string[],
  execArgv: readonly string[] = [],
): Promise<Part<Command, Reply>> => {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [...args], {
    serialization: 'advanced',
    execArgv: [...execArgv],
  })
  const ready = await heard<Reply>(child, file)
  return {
    pid: child.pid ?? 0,
    ready,
    ask: command => {
      const reply = heard<Reply>(child, file)
      child.send(command)
      return reply
    },
    stop: () =>
      new Promise(resolve => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once('exit', () => resolve())
        child.kill('SIGKILL')
      }),
  }
}

const heard = <Reply>(child: ChildProcess, file: string): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error(`${file} ended before it answered`))
    child.once('exit', gone)
    child.once('message', message => {
      child.off('exit', gone)
      resolve(message as Reply) // both ends of this pipe are ours
    })
  })

/** CPU seconds, user and system, of all threads so far. The kernel counts in hundredths. */
export const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / 100
}

/** CPU seconds that this machine has spent on anything so far, and those it has spent on us and what we started. */
export const machineSeconds = (): { readonly all: number; readonly ours: number } => {
  const [, user, nice, system, _idle, _wait, irq, softirq, steal] = (
    readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
  )
    .split(/\s+/)
    .map(Number)
  const ours = [process.pid, ...descendants(process.pid).map(({ pid }) => pid)]
  return {
    all: [user, nice, system, irq, softirq, steal].reduce<number>((sum, ticks) => sum + (ticks ?? 0), 0) / 100,
    ours: ours.reduce((sum, pid) => sum + (attempt(() => cpuSeconds(pid)) ?? 0), 0),
  }
}

/** Resident megabytes: now, and at most since the process began. */
export const memory = (pid: number): { readonly nowMb: number; readonly peakMb: number } => {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mb = (key: string): number => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) / 1024
  return { nowMb: mb('VmRSS'), peakMb: mb('VmHWM') }
}

/** The processes below one, with what each calls itself. */
export const descendants = (root: number): readonly { readonly pid: number; readonly title: string }[] => {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = attempt(() => readFileSync(`/proc/${name}/stat`, 'utf8'))
    if (stat !== null) parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
  }
  const below = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent !== undefined && (parent === root || below(parent))
  }
  return [...parents.keys()].filter(below).map(pid => ({
    pid,
    title: (attempt(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ?? '').replaceAll('\0', ' ').trim(),
  }))
}

/** False also for one that has ended and whose parent has not asked yet. */
export const running = (pid: number): boolean => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return stat !== null && stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z'
}

/** A process may be gone between two looks. */
const attempt = <Read>(read: () => Read): Read | null => {
  try {
    return read()
  } catch {
    return null
  }
}
