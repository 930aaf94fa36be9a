import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { descendants, running } from './processes.ts'
import { analyst, type Sql } from './warehouse.ts'

/** The whole of Sluice as `npm start` starts it, on free ports and a directory of its own. */
export type Stack = {
  readonly origin: string
  readonly headers: Readonly<Record<string, string>>
  readonly gatewayPid: number
  /** From the start of npm to the first answer, on a fresh directory. */
  readonly firstAnswerMs: number
  /** Its processes, by the titles that they give themselves. */
  readonly processes: () => readonly { readonly pid: number; readonly title: string }[]
  readonly sql: Sql
  readonly stop: () => Promise<void>
}

/** What stands in `sluice.yaml` about its one agent, but for its key; the defaults where it is left out. */
export type Guards = {
  readonly budgets?: {
    readonly run: readonly object[]
    readonly agent: readonly object[]
    readonly team: readonly object[]
  }
  readonly breakers?: Readonly<Record<string, unknown>>
}

/** Generous: a start that takes longer is broken, not slow. */
const START_MS = 60_000
const STOP_MS = 20_000

export const startStack = async (upstream: string, guards: Guards = {}): Promise<Stack> => {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
  const key = `slk_bench_${randomBytes(24).toString('hex')}`
  const config = join(directory, 'sluice.yaml')
  writeFileSync(config, configOf(upstream, key, guards))
  const [port, consolePort, warehousePort] = await freePorts(3)
  const { KAFKA_BROKERS: _kafka, CLICKHOUSE_URL: _clickhouse, ...inherited } = process.env
  const begun = performance.now()
  const npm = spawn('npm', ['start', '--silent'], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    // A group of its own, so that stopping reaches what npm started and nothing else.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...inherited,
      SLUICE_CONFIG: config,
      SLUICE_DATA_DIR: join(directory, 'data'),
      SLUICE_HOST: '127.0.0.1',
      SLUICE_PORT: String(port),
      SLUICE_CONSOLE_PORT: String(consolePort),
      SLUICE_WAREHOUSE_PORT: String(warehousePort),
      SLUICE_LOG_LEVEL: 'warn',
    },
  })
  const pid = npm.pid ?? 0
  let said = ''
  for (const pipe of [npm.stdout, npm.stderr])
    pipe.on('data', chunk => {
      // The end of the output is what explains a failure.
      said = (said + chunk).slice(-4_000)
    })
  const gone = new Promise<void>(resolve => npm.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    const all = [pid, ...descendants(pid).map(one => one.pid)]
    signal(-pid, 'SIGTERM')
    // npm goes at once, the roles drain first.
    const deadline = performance.now() + STOP_MS
    while (all.some(running) && performance.now() < deadline) await sleep(50)
    for (const one of all.filter(running)) signal(one, 'SIGKILL')
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const origin = `http://127.0.0.1:${port}`
    const headers = { authorization: `Bearer ${key}` }
    await Promise.race([
      firstAnswer(origin, headers),
      gone.then(() => {
        throw new Error('npm start ended')
      }),
    ])
    const firstAnswerMs = performance.now() - begun
    const processes = () => descendants(pid).filter(({ title }) => title.startsWith('sluice:'))
    const gateway = processes().find(({ title }) => title.startsWith('sluice:gateway'))
    if (gateway === undefined) throw new Error(`no process calls itself sluice:gateway`)
    const credentials: unknown = JSON.parse(readFileSync(join(directory, 'data', 'credentials.json'), 'utf8'))
    const sql = analyst(`http://127.0.0.1:${warehousePort}`, credentials)
    return { origin, headers, gatewayPid: gateway.pid, firstAnswerMs, processes, sql, stop }
  } catch (error) {
    await stop()
    throw new Error(`the stack did not start: ${error instanceof Error ? error.message : error}\n${said}`)
  }
}

const firstAnswer = async (origin: string, headers: Readonly<Record<string, string>>): Promise<void> => {
  const body = JSON.stringify({ model: 'simulator', messages: [{ role: 'user', content: 'hello' }] })
  const deadline = performance.now() + START_MS
  let last = ''
  while (performance.now() < deadline) {
    try {
      const answer = await request(`${origin}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      })
      last = `${answer.statusCode} ${await answer.body.text()}`
      if (answer.statusCode === 200) return
    } catch (error) {
      last = error instanceof Error ? error.message : String(error)
    }
    await sleep(10)
  }
  throw new Error(`no answer within ${START_MS} ms, the last try gave: ${last}`)
}

const configOf = (upstream: string, key: string, { budgets, breakers = {} }: Guards): string =>
  JSON.stringify({
    providers: {
      bench: {
        protocol: 'openai',
        baseUrl: `${upstream}/v1`,
        models: ['bench*'],
        prices: { '*': { input: 1, output: 2 } },
      },
    },
    routes: [{ models: ['bench*'], targets: [{ provider: 'bench' }] }],
    teams: { bench: { budgets: budgets?.team ?? [] } },
    agents: {
      bench: {
        team: 'bench',
        keys: [`sha256:${createHash('sha256').update(key).digest('hex')}`],
        budgets: budgets?.agent ?? [],
      },
    },
    runs: { defaults: { budgets: budgets?.run ?? [] } },
    breakers,
  })

/** Taken and given back at once: nobody else asks for ports of this range in between, as a rule. */
const freePorts = async (count: number): Promise<readonly number[]> => {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map(server => new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map(server => (server.address() as AddressInfo).port) // listening on TCP, so not a pipe's name
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** A negative number is a group. */
const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}
