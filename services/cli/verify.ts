import path from 'node:path'
import { parseArgs } from 'node:util'
import type { Breakers } from '../../schemas/breakers.ts'
import { topics } from '../../schemas/topics.ts'
import type { KeptHead, KeptNode } from '../core/money/books-kept.ts'
import { readShelf } from '../enforcer/shelf.ts'
import { booksName } from '../enforcer/shelved-books.ts'
import { loadConfig } from '../io/config/config.ts'
import { readSettings, type Settings } from '../io/config/settings.ts'
import { Fault, textOf } from '../io/fault.ts'
import type { EventLog } from '../io/log/port.ts'
import { openLogger } from '../io/logger.ts'
import { within } from '../io/patience.ts'
import { followPolicy } from '../io/policy/follow.ts'
import { runningStack } from '../io/stack.ts'
import { type Check, type Verdict, verdictOf } from '../replay/verify/check.ts'
import { type Drawer, openDrawer } from '../replay/verify/drawer.ts'
import type { Kept } from '../replay/verify/kept.ts'
import type { Ask } from '../replay/verify/rows.ts'
import { verify } from '../replay/verify/verify.ts'
import { askClickHouse } from './clickhouse.ts'
import type { Command, Shell } from './command.ts'
import { openSharedLog } from './open-log.ts'
import { sinkGroup } from './roles/role.ts'
import { duration } from './show.ts'
import { table } from './table.ts'

/**
 * `sluice verify [--log-only] [--json]`: whether events, ledger, control and ClickHouse say the same, to the nano-dollar.
 * Exit code 0 where they do, 1 where they differ, 2 where a part could not be compared.
 */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({
    args: [...args],
    options: { 'log-only': { type: 'boolean' }, json: { type: 'boolean' } },
  })
  const settings = readSettings(shell.env)
  const began = performance.now()
  const damage = new Set<string>()
  const { logger, flush } = openLogger({ name: 'cli', level: 'error' })
  const log =
    settings.kafka === null ? await openFiles(settings, damage) : await openSharedLog(settings, 'cli-verify', logger)
  const drawer = openDrawer()
  try {
    const checks = await verify({
      log,
      warehouse: values['log-only'] === true ? null : await warehouseOf(settings),
      sinkGroup,
      owners: settings.kafka === null ? 1 : topics.ledger.partitions,
      live: settings.kafka !== null || runningStack(settings.dataDir) !== null,
      dense: settings.kafka === null,
      policies: await policiesOf(log, settings, shell),
      kept: keptIn(settings, drawer),
      damage: () => [...damage],
    })
    const verdict = verdictOf(checks)
    shell.out(
      values.json === true
        ? `${JSON.stringify({ verdict, checks })}\n`
        : inWords(checks, verdict, performance.now() - began),
    )
    return codes[verdict]
  } finally {
    drawer.close()
    await log.close()
    flush()
  }
}

const codes = { equal: 0, different: 1, 'not compared': 2 } as const satisfies Record<Verdict, number>

/** As whoever only reads, with an ear for what is damaged: its place is told by the reader that passes over it. */
async function openFiles({ dataDir }: Settings, damage: Set<string>): Promise<EventLog> {
  const { openFileLog } = await import('../io/log/file/file.ts')
  return openFileLog({
    dir: path.join(dataDir, 'log'),
    onFault: fault => damage.add(fault.cause instanceof Error ? fault.cause.message : fault.message),
  })
}

/** What an enforcer that runs on this data directory keeps, as of one moment for each owner. */
function keptIn({ dataDir, kafka }: Settings, drawer: Drawer): ReadonlyMap<number, Kept> {
  const dir = path.join(dataDir, 'enforcer')
  const owners = kafka === null ? 1 : topics.ledger.partitions
  const found = Array.from({ length: owners }, (_, owner) => {
    const kept = readShelf(dir, booksName(owner), shelf => {
      const head = shelf.head() as KeptHead | null // as the enforcer keeps it
      if (head === null) return null
      const nodes = drawer.aside<KeptNode>()
      for (const [node, kept] of shelf.all()) nodes.put(node, kept as KeptNode)
      return { head, nodes }
    })
    return kept === null ? [] : [[owner, kept] as const]
  })
  return new Map(found.flat())
}

/** Whoever answers where rows are; else why there is nobody. */
async function warehouseOf(settings: Settings): Promise<{ readonly ask: Ask } | { readonly why: string }> {
  const ask: Ask = async query => {
    const response = await askClickHouse(settings, query, {
      user: 'sluice',
      format: 'JSONEachRow',
      settings: { output_format_json_quote_64bit_integers: '0', wait_end_of_query: '1' },
    })
    const text = (await response.text()).trim()
    return text === '' ? [] : text.split('\n').map(line => JSON.parse(line)) // the query says what a row has
  }
  try {
    await ask('SELECT 1')
    return { ask }
  } catch (error) {
    return { why: error instanceof Fault ? error.message : textOf(error) }
  }
}

/** The policies that are still known: the file's, and what was applied last. */
async function policiesOf(log: EventLog, settings: Settings, shell: Shell): Promise<ReadonlyMap<string, Breakers>> {
  const file = loadConfig(settings, shell.env, { credentials: 'elsewhere' })
  const policy = followPolicy(log, file)
  try {
    if ((await log.partitions(topics.config.name)).length > 0) await within(policy.caughtUp, 'did not tell the policy')
    return new Map([file, policy.config()].map(({ policyVersion, breakers }) => [policyVersion, breakers]))
  } finally {
    await policy.close()
  }
}

const columns = ['COMPARED', 'HOW MANY', 'ON THEIR WAY', 'DIFFERENCES', '']

function inWords(checks: readonly Check[], verdict: Verdict, ms: number): string {
  const rows = checks.map(check => [
    check.name,
    `${check.compared.toLocaleString('en-US')} ${check.of}`,
    check.inFlight === 0 ? '' : check.inFlight.toLocaleString('en-US'),
    check.differences.toLocaleString('en-US'),
    check.differences > 0 ? '✗' : check.left.some(({ matters }) => matters) ? '?' : '✓',
  ])
  const left = checks.flatMap(({ name, left }) => left.map(({ what }) => `Not compared (${name}): ${what}\n`))
  const found = checks.flatMap(({ name, first }) => first.map(({ where, what }) => `  ${name}: ${where}: ${what}\n`))
  const all = checks.reduce((sum, { differences }) => sum + differences, 0)
  const shown = found.slice(0, 20)
  return [
    table(columns, rows),
    ...(left.length > 0 ? ['\n', ...left] : []),
    ...(shown.length > 0
      ? [`\n${all} differences${all > shown.length ? `, the first ${shown.length}` : ''}:\n`, ...shown]
      : []),
    `\n${says[verdict]} Read in ${duration(ms)}.\n`,
  ].join('')
}

const says = {
  equal: 'The books are equal, to the nano-dollar.',
  different: 'The books differ.',
  'not compared': 'What was compared is equal, but not all could be compared.',
} as const satisfies Record<Verdict, string>
