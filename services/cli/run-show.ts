import { parseArgs } from 'node:util'
import { readSettings } from '../io/config/settings.ts'
import { Fault } from '../io/fault.ts'
import { rowsOf } from './clickhouse.ts'
import { type Command, misused } from './command.ts'
import { type CallOfTree, type RunOfTree, runTree } from './run-tree.ts'

/** `sluice run show <id>`: what a run did, step by step, and everything that it spawned. */
export const command: Command = async (args, shell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { json: { type: 'boolean' } },
  })
  const [verb, id] = positionals
  if (verb !== 'show' || id === undefined) throw misused('Say which run: sluice run show <run id>.')
  const settings = readSettings(shell.env)
  const root = [['id', id]] as const
  const runs = await rowsOf<RunOfTree>(settings, runsQuery, root)
  if (!runs.some(run => run.run_id === id))
    throw new Fault('not_found', `There is no run ${id}; sluice runs lists them.`)
  const calls = await rowsOf<CallOfTree>(settings, callsQuery, root)
  shell.out(values.json === true ? `${JSON.stringify({ runs, calls })}\n` : runTree(id, below(id, runs), calls))
  return 0
}

/** The run itself and those under it, of all that share its root. */
function below(id: string, runs: readonly RunOfTree[]): readonly RunOfTree[] {
  const wanted = new Set([id])
  for (let size = 0; size !== wanted.size; ) {
    size = wanted.size
    for (const run of runs) if (wanted.has(run.parent_run_id)) wanted.add(run.run_id)
  }
  return runs.filter(run => wanted.has(run.run_id))
}

/** More than a person reads at once; the rest is one query away. */
const mostCalls = 5_000

const runsQuery = `SELECT run_id, parent_run_id, run_source, agent, task, state, reason, steps, tool_calls, errors, input_tokens,
    output_tokens, cost_nano_usd, tree_cost_nano_usd,
    toUnixTimestamp64Milli(assumeNotNull(last_at)) - toUnixTimestamp64Milli(assumeNotNull(started_at)) AS lasted_ms
  FROM runs WHERE root_run_id = (SELECT any(root_run_id) FROM runs WHERE run_id = {id:String}) ORDER BY started_at`

const callsQuery = `SELECT run_id, kind, step, request_id, model, model_requested, tool, args, args_hash, result,
    result_empty = true AS result_empty, outcome, reason, finish_reason, input_tokens, output_tokens, cost_nano_usd,
    ifNull(latency_ms, 0) AS latency_ms, attempts
  FROM calls WHERE root_run_id = (SELECT any(root_run_id) FROM runs WHERE run_id = {id:String}) ORDER BY ts, partition, offset LIMIT ${mostCalls}`
