import { type ChildProcess, execFile, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { until } from './until.ts'

export const main = path.join(import.meta.dirname, '../../services/main.ts')

type Told = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Sluice as a stranger runs it: a process of its own, on a data directory and ports of its own. */
export type Stack = {
  readonly env: Readonly<Record<string, string>>
  readonly dataDir: string
  readonly child: ChildProcess
  stdout(): string
  stderr(): string
  /** What the banner says after a name. */
  told(name: string): string
  credentials(): {
    readonly adminToken: string
    readonly agentKey: string
    readonly warehouse: Readonly<Record<string, string>>
  }
  cli(...args: readonly string[]): Promise<Told>
  /** Process ids under the supervisor, by title. Linux only. */
  processes(): readonly { readonly pid: number; readonly title: string }[]
  /** Resolves with the exit code of the supervisor. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Stops it whatever state it is in, and removes its directory. */
  close(): Promise<void>
}

/** Nothing of the developer's own environment: neither keys nor another stack. */
export const bareEnv = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || /^(SLUICE_|KAFKA_|CLICKHOUSE_|AWS_|NODE_TEST_)|_API_KEY$/.test(name) ? [] : [[name, value]],
  ),
)

/** One run of the CLI. */
export function cli(env: Readonly<Record<string, string>>, args: readonly string[], cwd = os.tmpdir()): Promise<Told> {
  return new Promise(resolve => {
    const child = execFile(process.execPath, [main, ...args], { env, cwd, timeout: 30_000 }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
    child.stdin?.end()
  })
}

/** Starts it; does not wait until it is up. */
export function spawnStack(
  options: { readonly env?: Record<string, string>; readonly roles?: readonly string[]; readonly config?: string } = {},
): Stack {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-stack-'))
  const given = path.join(dataDir, 'given.yaml')
  if (options.config !== undefined) fs.writeFileSync(given, options.config)
  const env: Record<string, string> = {
    ...bareEnv,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_PORT: '0',
    SLUICE_WAREHOUSE_PORT: '0',
    SLUICE_CONSOLE_PORT: '0',
    ...(options.config === undefined ? {} : { SLUICE_CONFIG: given }),
    ...options.env,
  }
  const child = spawn(process.execPath, [main, 'start', ...(options.roles ?? [])], {
    env,
    cwd: dataDir,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  const ended = new Promise<number | null>(resolve => child.on('exit', code => resolve(code)))
  const processes = () => (child.pid === undefined ? [] : childrenOf(child.pid))
  return {
    env,
    dataDir,
    child,
    stdout: () => said.out,
    stderr: () => said.err,
    told: name => new RegExp(`^ {2}${name} +(\\S+)`, 'm').exec(said.out)?.[1] ?? '',
    credentials: () => JSON.parse(fs.readFileSync(path.join(dataDir, 'credentials.json'), 'utf8')),
    cli: (...args) => cli(env, args),
    processes,
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
    async close() {
      const left = processes()
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), 12_000)
      if (child.exitCode === null && child.signalCode === null) await ended
      clearTimeout(late)
      for (const { pid } of left) if (alive(pid)) process.kill(pid, 'SIGKILL')
      fs.rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Starts it and waits for the banner. */
export async function startStack(options: Parameters<typeof spawnStack>[0] = {}): Promise<Stack> {
  const stack = spawnStack(options)
  try {
    await until('the banner', () => stack.stdout().includes('Ctrl-C') || gone(stack), 30_000)
    if (gone(stack)) throw new Error(`the stack ended: ${stack.stderr()}`)
    return stack
  } catch (error) {
    await stack.close()
    throw error
  }
}

/**
 * Whether every gateway runs and has said that it is up: what a killed one left open is then ended, in the events and on
 * the ledger. Linux only.
 */
export function gatewaysAreUp({ env, processes, stderr }: Stack): boolean {
  const running = processes().filter(({ title }) => title === 'sluice:gateway')
  const isUp = (pid: number): boolean => new RegExp(`"child":${pid},.* is up`).test(stderr())
  return running.length === Number(env['SLUICE_WORKERS'] ?? 1) && running.every(({ pid }) => isUp(pid))
}

const gone = (stack: Stack): boolean => stack.child.exitCode !== null || stack.child.signalCode !== null

export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

function childrenOf(parent: number): readonly { readonly pid: number; readonly title: string }[] {
  if (process.platform !== 'linux') return []
  return fs
    .readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = fs.readFileSync(`/proc/${name}/stat`, 'utf8')
        const ppid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
        const title = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return ppid === parent ? [{ pid: Number(name), title }] : []
      } catch {
        return [] // it ended while we looked
      }
    })
}
