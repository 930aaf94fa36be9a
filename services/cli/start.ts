import { parseArgs } from 'node:util'
import { nearest } from '../io/config/nearest.ts'
import { readSettings, type Settings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { openCredentials } from '../io/keys/credentials.ts'
import { type Logger, openLogger } from '../io/logger.ts'
import { removeStack, runningStack, writeStack } from '../io/stack.ts'
import { banner } from '../supervisor/banner.ts'
import { allRoles, plan, type RoleName, roles, titleOf } from '../supervisor/plan.ts'
import { checkDoors } from '../supervisor/ports.ts'
import { type Supervisor, supervise } from '../supervisor/supervisor.ts'
import type { Command } from './command.ts'
import { misused } from './command.ts'
import { version } from './version.ts'

/** Long for a start: worth a line that says whom it waits for. */
const slowStartMs = 10_000

/** `sluice start [roles]`: the supervisor. It runs until it is told to stop. */
export const command: Command = async (args, shell) => {
  const startedAt = performance.now()
  process.title = titleOf(['supervisor'])
  const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
  const given = readSettings(shell.env)
  const wanted = positionals.length === 0 ? allRoles(given) : [...new Set(positionals.map(roleOf))]
  refuseSecond(given, wanted)
  const settings = await withDoors(given, wanted)
  const { credentials, made } = openCredentials(settings)
  const { logger, flush } = openLogger({ name: 'supervisor', level: settings.logLevel })
  for (const warning of settings.warnings) logger.warn(warning)

  const [gateway, warehouse] = urlsOf(settings, wanted)
  const supervisor = supervise(plan(wanted, settings, shell.entry, shell.env), { logger })
  writeStack(settings.dataDir, { pid: process.pid, roles: wanted, gateway, warehouse })
  const stopping = untilSignal(supervisor, logger)
  const slow = setTimeout(() => logger.warn(`still waiting for ${supervisor.waitingFor().join(', ')}`), slowStartMs)
  try {
    const up = await Promise.race([supervisor.ready, stopping.then(() => null)])
    clearTimeout(slow)
    const seconds = (performance.now() - startedAt) / 1000
    const cli = 'npm run -s sluice --'
    if (up !== null) {
      const policy = [...up.values()].map(facts => facts['policy']).find(version => version !== undefined) ?? null
      shell.out(banner({ version: version(), seconds, settings, credentials, made, gateway, policy, warehouse, cli }))
    }
    await stopping
    return 0
  } finally {
    clearTimeout(slow)
    await supervisor.stop()
    removeStack(settings.dataDir)
    logger.info('all processes have ended')
    flush()
  }
}

function roleOf(given: string): RoleName {
  const role = roles.find(role => role === given)
  if (role !== undefined) return role
  const near = nearest(given, roles)
  throw misused(
    `There is no role ${given}; ${near === null ? `there is ${roles.join(', ')}.` : `did you mean ${near}?`}`,
  )
}

/** Two stacks on one directory would wait for each other's locks for ever. */
function refuseSecond(settings: Settings, wanted: readonly RoleName[]): void {
  const other = runningStack(settings.dataDir)
  const both = wanted.filter(role => other?.roles.includes(role))
  if (other === null || both.length === 0) return
  const where = other.gateway === null ? '' : ` at ${other.gateway}`
  throw new Fault(
    'already_running',
    `${settings.dataDir} already has a running ${both.join(', ')}${where} (process ${other.pid}); stop it, or set SLUICE_DATA_DIR and the ports.`,
  )
}

/** The settings with ports that are really free, so that all processes agree on them. */
async function withDoors(settings: Settings, wanted: readonly RoleName[]): Promise<Settings> {
  const doors = [
    { role: 'gateway', variable: 'SLUICE_PORT', host: settings.host, port: settings.port },
    { role: 'sink', variable: 'SLUICE_CONSOLE_PORT', host: settings.host, port: settings.consolePort },
    { role: 'warehouse', variable: 'SLUICE_WAREHOUSE_PORT', host: '127.0.0.1', port: settings.warehousePort },
  ].filter(door => wanted.some(role => role === door.role))
  const ports = await checkDoors(doors)
  const of = (role: string, otherwise: number) => ports[doors.findIndex(door => door.role === role)] ?? otherwise
  return {
    ...settings,
    port: of('gateway', settings.port),
    consolePort: of('sink', settings.consolePort),
    warehousePort: of('warehouse', settings.warehousePort),
  }
}

/** Where this stack answers, for whoever asks on this machine. */
function urlsOf(
  settings: Settings,
  wanted: readonly RoleName[],
): readonly [gateway: string | null, warehouse: string | null] {
  return [
    wanted.includes('gateway') ? `http://${localHost(settings.host)}:${settings.port}` : null,
    wanted.includes('warehouse') ? `http://127.0.0.1:${settings.warehousePort}` : null,
  ]
}

const localHost = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host

/** Resolves once all processes have drained after a signal. A second Ctrl-C does not wait for that. */
function untilSignal(supervisor: Supervisor, logger: Logger): Promise<void> {
  return new Promise((resolve, reject) => {
    let signals = 0
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.on(signal, () => {
        signals++
        if (signals === 1) logger.info(`${signal}: stopping, gateways first`)
        const ended = signals > 1 && signal === 'SIGINT' ? supervisor.kill() : supervisor.stop()
        ended.then(resolve, reject)
      })
  })
}
