import { parseArgs } from 'node:util'
import { z } from 'zod'
import { readSettings, type Settings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { createKey, type KeyRow, listKeys, revokeKey } from '../io/keys/keys.ts'
import { isSignerId, revokeSigner } from '../io/keys/signers.ts'
import type { EventLog } from '../io/log/port.ts'
import { findAdmin } from './admin.ts'
import type { Command, Shell } from './command.ts'
import { misused } from './command.ts'
import { withLog } from './open-log.ts'
import { table } from './table.ts'

/** `sluice keys create --agent A | list | revoke <id>` */
export const command: Command = async (args, shell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { agent: { type: 'string' }, json: { type: 'boolean' } },
  })
  const [verb, id] = positionals
  const settings = readSettings(shell.env)
  const json = values.json === true
  switch (verb) {
    case 'create':
      if (values.agent === undefined) throw misused('Say whose key it is: sluice keys create --agent <name>.')
      return create(settings, shell, values.agent, json)
    case 'list':
      return list(settings, shell, json)
    case 'revoke':
      if (id === undefined) throw misused('Say which key: sluice keys revoke <id>; sluice keys list shows the ids.')
      return revoke(settings, shell, id, json)
    default:
      throw misused('sluice keys create --agent A, sluice keys list, or sluice keys revoke <id>.')
  }
}

const made = z.object({ id: z.string(), key: z.string() })
const row = z.object({
  id: z.string(),
  agent: z.string(),
  state: z.enum(['active', 'revoked']),
  createdAt: z.number().nullable(),
  revokedAt: z.number().nullable(),
})

async function create(settings: Settings, shell: Shell, agent: string, json: boolean): Promise<number> {
  const admin = await findAdmin(settings)
  const key =
    admin === null
      ? await onTheLog(settings, log => createKey(log, agent))
      : made.parse(await admin.call('POST', '/admin/keys', { agent }))
  // The key alone on standard output, so that it can be caught in a variable.
  shell.out(json ? `${JSON.stringify({ ...key, agent })}\n` : `${key.key}\n`)
  if (!json) shell.err(`Key ${key.id} of agent ${agent}. It is shown this once; only its hash is kept.\n`)
  return 0
}

async function list(settings: Settings, shell: Shell, json: boolean): Promise<number> {
  const admin = await findAdmin(settings)
  const keys: readonly KeyRow[] =
    admin === null
      ? await onTheLog(settings, listKeys)
      : z.object({ keys: z.array(row) }).parse(await admin.call('GET', '/admin/keys')).keys
  if (json)
    shell.out(
      `${JSON.stringify(
        keys.map(key => ({ ...key, createdAt: day(key.createdAt), revokedAt: day(key.revokedAt) })),
        null,
        2,
      )}\n`,
    )
  else shell.out(table(['id', 'agent', 'state', 'created', 'revoked'], keys.map(cells)))
  return 0
}

async function revoke(settings: Settings, shell: Shell, given: string, json: boolean): Promise<number> {
  // Whoever pastes the whole key means the same.
  const id = /^slk_([A-Za-z0-9-]+)_/.exec(given)?.[1] ?? given
  if (isSignerId(id)) return endSigner(settings, shell, id, json)
  const admin = await findAdmin(settings)
  const key =
    admin === null
      ? await onTheLog(settings, log => revokeKey(log, id))
      : row.parse(await admin.call('DELETE', `/admin/keys/${encodeURIComponent(id)}`))
  if (key === null) throw new Fault('not_found', `There is no key ${id}; sluice keys list shows the ids.`)
  shell.out(
    json
      ? `${JSON.stringify({ ...key, createdAt: day(key.createdAt), revokedAt: day(key.revokedAt) })}\n`
      : `Key ${id} of agent ${key.agent} is revoked.\n`,
  )
  return 0
}

/** Tokens name it as `kid`. */
async function endSigner(settings: Settings, shell: Shell, id: string, json: boolean): Promise<number> {
  const admin = await findAdmin(settings)
  if (admin !== null) await admin.call('DELETE', `/admin/signers/${id}`)
  else if (!(await onTheLog(settings, log => revokeSigner(log, id))))
    throw new Fault('not_found', `There is no signer ${id}.`)
  shell.out(json ? `${JSON.stringify({ id })}\n` : `Signer ${id} is revoked, with every token that it signed.\n`)
  return 0
}

const onTheLog = <Answer>(settings: Settings, act: (log: EventLog) => Promise<Answer>): Promise<Answer> =>
  withLog(settings, 'cli-keys', act)

const cells = (key: KeyRow): readonly string[] => [
  key.id,
  key.agent,
  key.state,
  day(key.createdAt) ?? '',
  day(key.revokedAt) ?? '',
]
const day = (time: number | null): string | null => (time === null ? null : new Date(time).toISOString())
