import { parseArgs } from 'node:util'
import { z } from 'zod'
import { type Balance, balance } from '../../schemas/balance.ts'
import { topics } from '../../schemas/topics.ts'
import { balancesOf } from '../core/money/balances.ts'
import { followBooks, readWithin } from '../gateway/money/books-view.ts'
import { loadConfig } from '../io/config/config.ts'
import { readSettings, type Settings } from '../io/config/settings.ts'
import { within } from '../io/patience.ts'
import { followPolicy } from '../io/policy/follow.ts'
import { findAdmin } from './admin.ts'
import { bar } from './bar.ts'
import type { Command, Shell } from './command.ts'
import { withLog } from './open-log.ts'
import { dollars, duration } from './show.ts'
import { table } from './table.ts'

/** `sluice budgets [--scope agent:A] [--runs] [--json]`: what each cap allows, what of it is spent and held. */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({
    args: [...args],
    options: { scope: { type: 'string' }, runs: { type: 'boolean' }, json: { type: 'boolean' } },
  })
  const settings = readSettings(shell.env)
  const admin = await findAdmin(settings)
  const all =
    admin === null
      ? await fromTheLog(settings, shell)
      : z.object({ budgets: z.array(balance) }).parse(await admin.call('GET', '/admin/budgets')).budgets
  const wanted = (one: Balance): boolean =>
    values.scope === undefined ? values.runs === true || !ofRun(one) : one.scope === values.scope
  const found = all.filter(wanted)
  const shown = values.json === true ? found : [...found.filter(one => !ofRun(one)), ...mostUsed(found.filter(ofRun))]
  if (values.json === true) shell.out(`${JSON.stringify(shown)}\n`)
  else
    shell.out(
      shown.length === 0
        ? none(all, values.scope)
        : table(columns, shown.map(line(Date.now()))) + (values.scope === undefined ? hint(all, shown) : ''),
    )
  return 0
}

/** Ten thousand runs are for programs; a person looks for those that come near their caps. */
const runsShown = 50
const mostUsed = (runs: readonly Balance[]): readonly Balance[] =>
  runs.toSorted((a, b) => usedOf(b) - usedOf(a)).slice(0, runsShown)
const usedOf = (one: Balance): number =>
  (one.spent_nano_usd + one.presumed_nano_usd + one.held_nano_usd) / one.limit_nano_usd

const ofRun = ({ scope }: Balance): boolean => scope.startsWith('run:')

const none = (all: readonly Balance[], scope: string | undefined): string =>
  scope === undefined
    ? `No budgets: sluice.yaml gives them to org, teams, agents and runs.\n${hint(all, [])}`
    : `${scope} has no budget.\n`

function hint(all: readonly Balance[], shown: readonly Balance[]): string {
  const runs = all.filter(ofRun).length - shown.filter(ofRun).length
  if (runs === 0) return ''
  const more = shown.some(ofRun) ? 'sluice budgets --runs --json has all' : 'sluice budgets --runs shows them'
  return `Caps of runs that are not here: ${runs}; ${more}.\n`
}

/** Some millions of messages; whoever waits can see that it takes long, and has Ctrl-C. */
const patienceMs = 300_000

/** Where no stack runs: what was applied last, or the file, and all that stands on the log. */
function fromTheLog(settings: Settings, shell: Shell): Promise<readonly Balance[]> {
  const file = loadConfig(settings, shell.env, { credentials: 'elsewhere' })
  return withLog(settings, 'cli-budgets', async log => {
    const policy = followPolicy(log, file)
    const view = followBooks(log, settings.kafka === null ? 1 : topics.ledger.partitions)
    try {
      await within(policy.caughtUp, 'did not tell the policy')
      await readWithin(view, patienceMs)
      return balancesOf(view.books(), policy.config(), Date.now())
    } finally {
      await view.close()
      await policy.close()
    }
  })
}

/** What is spent at all is not nothing, and what is left is not all. */
function percent(share: number): string {
  if (share > 0 && share < 0.001) return '< 0.1 %'
  if (share < 0.1 || (share > 0.99 && share < 1)) return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`
  return `${Math.round(share * 100)} %`
}

const columns = ['SCOPE', 'WINDOW', '', 'USED', 'SPENT', 'HELD', 'PRESUMED', 'LEFT', 'LIMIT', 'RESETS IN']

const line =
  (now: number) =>
  (one: Balance): readonly string[] => {
    const { limit_nano_usd: limit, spent_nano_usd: spent, held_nano_usd: held, presumed_nano_usd: presumed } = one
    const share = limit === 0 ? 1 : (spent + presumed) / limit
    return [
      one.scope,
      one.window.replace(/@.*$/, ''),
      bar(spent + presumed, held, limit),
      `${percent(share)}${one.exhausted ? ' ✗' : ''}`,
      dollars(spent),
      held === 0 ? '' : dollars(held),
      presumed === 0 ? '' : dollars(presumed),
      dollars(one.left_nano_usd),
      dollars(limit),
      one.resets_at === null ? 'never' : duration(Math.max(0, one.resets_at - now)),
    ]
  }
