import path from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { loadConfig } from '../io/config/config.ts'
import { readSettings, type Settings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { type Published, publishPolicy } from '../io/policy/facts.ts'
import { type PolicyObjects, problemsIn } from '../io/policy/objects.ts'
import { type Admin, findAdmin } from './admin.ts'
import type { Command, Shell } from './command.ts'
import { misused } from './command.ts'
import { withLog } from './open-log.ts'
import { table } from './table.ts'

/** `sluice apply -f sluice.yaml [--dry-run] [--json]` */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({
    args: [...args],
    options: { file: { type: 'string', short: 'f' }, 'dry-run': { type: 'boolean' }, json: { type: 'boolean' } },
  })
  if (values.file === undefined) throw misused('Say which file: sluice apply -f sluice.yaml.')
  const configFile = path.resolve(values.file)
  const settings = readSettings(shell.env)
  // Only what is published has to be whole here: the credentials are with the processes that use them.
  const { objects, warnings } = loadConfig({ configFile }, shell.env, { credentials: 'elsewhere' })
  for (const warning of warnings) shell.err(`${warning}\n`)

  const dryRun = values['dry-run'] === true
  const admin = await findAdmin(settings)
  const published =
    admin === null ? await onTheLog(settings, objects, dryRun) : await throughGateway(admin, objects, dryRun)
  tell(shell, published, { dryRun, running: admin !== null, json: values.json === true })
  return 0
}

const actor = 'sluice apply'

async function throughGateway(admin: Admin, objects: PolicyObjects, dryRun: boolean): Promise<Published> {
  const body = { objects: Object.fromEntries(objects), dryRun, actor }
  return answer.parse(await admin.call('POST', '/admin/policy', body))
}

const answer = z.object({
  number: z.number(),
  policyVersion: z.string().nullable(),
  changes: z.array(z.object({ object: z.string(), change: z.enum(['added', 'changed', 'removed']) })),
})

function onTheLog(settings: Settings, objects: PolicyObjects, dryRun: boolean): Promise<Published> {
  const problems = problemsIn(objects)
  if (problems.length > 0) throw new Fault('config_invalid', problems.join('\n'))
  return withLog(settings, 'cli-apply', log => publishPolicy(log, objects, { actor, dryRun }))
}

type Telling = { readonly dryRun: boolean; readonly running: boolean; readonly json: boolean }

function tell(shell: Shell, published: Published, { dryRun, running, json }: Telling): void {
  const { changes, policyVersion } = published
  if (json) {
    shell.out(`${JSON.stringify({ ...published, dryRun }, null, 2)}\n`)
    return
  }
  if (changes.length > 0)
    shell.out(
      table(
        ['object', 'change'],
        changes.map(({ object, change }) => [object, change]),
      ),
    )
  const name = `Policy ${policyVersion}`
  if (dryRun) shell.out(changes.length === 0 ? `Nothing would change: ${name} holds.\n` : `It would be ${name}.\n`)
  else if (changes.length === 0) shell.out(`Nothing changes: ${name} holds.\n`)
  else shell.out(running ? `${name} is in force.\n` : `${name} is written; gateways go by it as soon as they run.\n`)
}
