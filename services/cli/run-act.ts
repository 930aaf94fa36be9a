import { parseArgs } from 'node:util'
import { z } from 'zod'
import { readSettings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { type Admin, findAdmin } from './admin.ts'
import { type Command, misused } from './command.ts'

/** What can be done to a run, and to all that it spawned. */
export const acts = ['pause', 'resume', 'kill', 'finish'] as const

/** `sluice run pause|resume|kill|finish <id> [--reason R] [--limit-usd N] [--json]`: asks the stack that runs. */
export const command: Command = async (args, shell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { reason: { type: 'string' }, 'limit-usd': { type: 'string' }, json: { type: 'boolean' } },
  })
  const [verb, id, ...more] = positionals
  const act = acts.find(act => act === verb)
  if (act === undefined || id === undefined || more.length > 0)
    throw misused(`Say which run: sluice run ${verb ?? 'pause'} <run id>.`)
  const limitUsd = values['limit-usd'] === undefined ? null : usdIn(values['limit-usd'])
  if (limitUsd !== null && act !== 'resume')
    throw misused('--limit-usd is for resume: a run that goes on may spend more.')
  const settings = readSettings(shell.env)
  const admin = await findAdmin(settings)
  if (admin === null)
    throw new Fault(
      'not_running',
      `No stack runs on ${settings.dataDir}, so there is nobody to ${act} a run; start one with sluice start, or name it with SLUICE_URL.`,
    )
  const path = `/v1/runs/${encodeURIComponent(id)}`
  const { status, body } = await admin.ask('POST', `${path}/${act}`, {
    ...(values.reason === undefined ? {} : { reason: values.reason }),
    ...(limitUsd === null ? {} : { budgets: withLimit(await budgetsOf(admin, path), limitUsd) }),
  })
  if (values.json === true) {
    shell.out(`${JSON.stringify(body)}\n`)
    return 0
  }
  const run = told.parse(body)
  const above = run.stop === null || run.stop.scope === `run:${id}` ? '' : ` (${run.stop.scope} is, by ${by(run.stop)})`
  shell.out(`Run ${id} is ${run.state}${above}.\n`)
  if (status === 202)
    shell.err('It is recorded, and this gateway goes by it; the others will when an enforcer has seen it.\n')
  return 0
}

/** As the gateway tells a run, as far as it is told on. */
const told = z.object({
  state: z.string(),
  stop: z.object({ scope: z.string(), rule: z.string().nullable(), actor: z.string().nullable() }).nullable(),
})
const by = ({ rule, actor }: { readonly rule: string | null; readonly actor: string | null }): string =>
  rule ?? actor ?? 'nobody known'

const budgets = z.array(z.looseObject({ limitUsd: z.number(), window: z.string().optional() }))
type Budgets = z.infer<typeof budgets>

const budgetsOf = async (admin: Admin, path: string): Promise<Budgets> =>
  z.object({ budgets }).parse(await admin.call('GET', path)).budgets

/** Another cap for the run's whole life; those of its windows stay. */
const withLimit = (before: Budgets, limitUsd: number): Budgets => {
  const alertAt = before.find(({ window }) => window === undefined)?.['alertAt']
  return [
    { limitUsd, ...(alertAt === undefined ? {} : { alertAt }) },
    ...before.filter(({ window }) => window !== undefined),
  ]
}

function usdIn(given: string): number {
  const usd = Number(given)
  if (!Number.isFinite(usd) || usd <= 0) throw misused(`--limit-usd wants dollars, such as 2.50; got ${given}.`)
  return usd
}
