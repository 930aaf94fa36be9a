import { parseArgs } from 'node:util'
import { readSettings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { openLogger } from '../io/logger.ts'
import { titleOf } from '../supervisor/plan.ts'
import { live, type Running } from '../supervisor/process.ts'
import type { Command } from './command.ts'
import type { RoleContext, StartRole } from './roles/role.ts'

/**
 * `sluice role gateway --slot 0`: one process under a supervisor. A role is loaded by the process that runs it and by no
 * other: a gateway has no ClickHouse engine in its memory.
 */
const starters: Readonly<Record<string, () => Promise<{ readonly start: StartRole }>>> = {
  gateway: () => import('./roles/gateway.ts'),
  enforcer: () => import('./roles/enforcer.ts'),
  sink: () => import('./roles/sink.ts'),
  warehouse: () => import('./roles/warehouse.ts'),
}

export const command: Command = async (args, shell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { slot: { type: 'string', default: '0' } },
  })
  if (process.send === undefined) throw new Fault('usage', 'A role runs under a supervisor: sluice start gateway.')
  const settings = readSettings(shell.env)
  const slot = Number(values.slot)
  const name = positionals.join('+')
  const { logger, flush } = openLogger({
    name: slot === 0 ? name : `${name}-${slot}`,
    level: settings.logLevel,
    secrets: [settings.adminToken, settings.kafka?.sasl?.password, settings.clickhouse?.password].filter(
      secret => secret != null,
    ),
  })
  const context = { settings, env: shell.env, slot, logger }
  await live({ title: titleOf(positionals), logger, flush, start: () => startAll(positionals, context) })
  return 0
}

async function startAll(names: readonly string[], context: RoleContext): Promise<Running> {
  const started = await Promise.all(
    names.map(async name => {
      const load = Object.hasOwn(starters, name) ? starters[name] : undefined
      if (load === undefined) throw new Fault('role_unknown', `There is no role ${name}.`)
      return (await load()).start(context)
    }),
  )
  return {
    facts: Object.assign({}, ...started.map(role => role.facts ?? {})),
    close: async () => void (await Promise.all(started.map(role => role.close()))),
  }
}
