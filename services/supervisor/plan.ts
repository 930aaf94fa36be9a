import path from 'node:path'
import type { Settings } from '../io/config/settings.ts'
import type { ProcessSpec } from './seat.ts'

/** The parts of the program that can be started by name. */
export const roles = ['gateway', 'enforcer', 'sink', 'warehouse'] as const
export type RoleName = (typeof roles)[number]

/** All of them; a ClickHouse elsewhere makes the embedded one needless. */
export const allRoles = (settings: Settings): readonly RoleName[] =>
  roles.filter(role => role !== 'warehouse' || settings.clickhouse === null)

/** What a process is named after: `sluice:enforcer+sink`. */
export const titleOf = (names: readonly string[]): string => `sluice:${names.join('+')}`

/**
 * Which processes the roles live in. Gateways have one each, as many as there are workers, and the embedded ClickHouse
 * has one, for its threads starve whatever else is in its process; the readers of the log share one.
 */
export function plan(
  wanted: readonly RoleName[],
  settings: Settings,
  entry: string,
  env: Environment,
): readonly ProcessSpec[] {
  const passed = { ...env, ...resolved(settings) }
  const readers = wanted.filter(role => role === 'enforcer' || role === 'sink')
  const gateways = wanted.includes('gateway') ? settings.workers : 0
  return [
    ...Array.from({ length: gateways }, (_, slot) => ({
      name: gateways === 1 ? 'gateway' : `gateway-${slot}`,
      entry,
      args: ['role', 'gateway', '--slot', `${slot}`],
      execArgv: [youngSpace],
      env: passed,
      drainOrder: 0,
    })),
    ...(readers.length === 0
      ? []
      : [
          {
            name: readers.join('+'),
            entry,
            args: ['role', ...readers],
            execArgv: roomForReaders,
            env: passed,
            drainOrder: 1,
          },
        ]),
    ...(wanted.includes('warehouse')
      ? // A statement that runs holds a thread of the pool; with four of them, files could not be read any more.
        [
          {
            name: 'warehouse',
            entry,
            args: ['role', 'warehouse'],
            env: { ...confined(passed), UV_THREADPOOL_SIZE: '16' },
            drainOrder: 2,
          },
        ]
      : []),
  ]
}

/**
 * Less room for what is young than V8 takes by itself, in MB: what a request leaves behind dies within milliseconds.
 * Measured under load: 199 to 215 MB resident instead of 244 to 256, and no difference in CPU a request that would stand
 * out from the noise of a busy machine (a tenth). With 4 it is eight MB less again.
 */
const youngSpace = '--max-semi-space-size=8'

/**
 * More room for whoever reads the log and holds what it knows of each run and agent: with 100,000 of these to go through,
 * collecting the garbage of what is merely read was a quarter of what an event costs (`npm run bench -- --only enforcer`).
 */
export const roomForReaders: readonly string[] = ['--max-semi-space-size=32', '--heap-growing-percent=60']

type Environment = Readonly<Record<string, string | undefined>>

/** What was found out once holds for all processes, wherever they stand. */
const resolved = (settings: Settings): Environment => ({
  SLUICE_DATA_DIR: settings.dataDir,
  SLUICE_HOST: settings.host,
  SLUICE_PORT: `${settings.port}`,
  SLUICE_CONSOLE_PORT: `${settings.consolePort}`,
  SLUICE_WAREHOUSE_PORT: `${settings.warehousePort}`,
  ...(settings.configFile === null ? {} : { SLUICE_CONFIG: path.resolve(settings.configFile) }),
})

/** The process that runs analysts' statements has no secret in its environment. */
function confined(env: Environment): Environment {
  const plain = /^(PATH|HOME|TMPDIR|TZ|LANG|LC_.*|NODE_.*|SLUICE_.*)$/
  return Object.fromEntries(Object.entries(env).filter(([name]) => plain.test(name) && name !== 'SLUICE_ADMIN_TOKEN'))
}
