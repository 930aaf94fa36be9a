import { parseArgs } from 'node:util'
import { parseDuration, spanMs } from '../../schemas/duration.ts'
import { readSettings } from '../io/config/settings.ts'
import { rowsOf } from './clickhouse.ts'
import { type Command, misused } from './command.ts'
import { age, dollars, short } from './show.ts'
import { table } from './table.ts'

/** `sluice runs`: what agents are doing and have done, the latest first. */
export const command: Command = async (args, shell) => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agent: { type: 'string' },
      state: { type: 'string' },
      task: { type: 'string' },
      errors: { type: 'boolean' },
      since: { type: 'string', default: '1d' },
      limit: { type: 'string', default: '20' },
      watch: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  })
  const limit = Number(values.limit)
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    throw misused('--limit wants a whole number from 1 to 1000.')
  const span = parseDuration(values.since)
  const sinceMs = span === null ? null : spanMs(span)
  if (sinceMs === null) throw misused('--since wants a duration such as 1h or 7d.')
  const settings = readSettings(shell.env)
  const filters = [
    // Only runs of that time are put together: over all of them it would take seconds.
    'run_id IN (SELECT run_id FROM events WHERE ts > now64(3) - toIntervalMillisecond({since:UInt64}))',
    "agent != ''",
    ...(values.agent === undefined ? [] : ['agent = {agent:String}']),
    ...(values.state === undefined ? [] : ['state = {state:String}']),
    ...(values.task === undefined ? [] : ['task = {task:String}']),
    ...(values.errors === true ? ['errors > 0'] : []),
  ]
  const query = `SELECT run_id, parent_run_id, agent, task, state, reason, steps, llm_calls, tool_calls, errors, children,
      input_tokens, output_tokens, cost_nano_usd, tree_cost_nano_usd, toUnixTimestamp64Milli(assumeNotNull(started_at)) AS started_ms,
      toUnixTimestamp64Milli(assumeNotNull(last_at)) AS last_ms
    FROM runs WHERE ${filters.join(' AND ')} ORDER BY last_at DESC LIMIT ${limit}`
  const params = Object.entries({
    since: String(sinceMs),
    agent: values.agent,
    state: values.state,
    task: values.task,
  }).filter((pair): pair is [string, string] => pair[1] !== undefined)
  const show = async () => {
    const rows = await rowsOf<RunRow>(settings, query, params)
    if (values.json === true) return `${JSON.stringify(rows)}\n`
    return rows.length === 0 ? 'No runs yet.\n' : table(columns, rows.map(line))
  }
  if (values.watch !== true) {
    shell.out(await show())
    return 0
  }
  for (;;) {
    // Clears the screen and goes to its corner; Ctrl-C ends it.
    shell.out(`\u001b[2J\u001b[H${await show()}`)
    await new Promise(resolve => setTimeout(resolve, watchEveryMs))
  }
}

/** As often as an eye likes to read a changing table; a query takes some milliseconds. */
const watchEveryMs = 1_000

type RunRow = {
  readonly run_id: string
  readonly parent_run_id: string
  readonly agent: string
  readonly task: string
  readonly state: string
  readonly reason: string
  readonly steps: number
  readonly llm_calls: number
  readonly tool_calls: number
  readonly errors: number
  readonly children: number
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cost_nano_usd: number
  readonly tree_cost_nano_usd: number
  readonly started_ms: number
  readonly last_ms: number
}

const columns = [
  'RUN',
  'AGENT',
  'TASK',
  'STATE',
  'STEPS',
  'TOOLS',
  'ERRORS',
  'RUNS BELOW',
  'TOKENS',
  'COST',
  'WITH TREE',
  'LAST',
]

const line = (run: RunRow): readonly string[] => [
  run.run_id,
  run.agent,
  short(run.task, 24),
  run.reason === '' ? run.state : `${run.state} (${run.reason})`,
  String(run.steps),
  String(run.tool_calls),
  run.errors === 0 ? '' : String(run.errors),
  run.children === 0 ? '' : String(run.children),
  `${run.input_tokens} → ${run.output_tokens}`,
  dollars(run.cost_nano_usd),
  run.tree_cost_nano_usd === run.cost_nano_usd ? '' : dollars(run.tree_cost_nano_usd),
  age(Date.now() - run.last_ms),
]
