import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { breakers } from '../schemas/breakers.ts'
import { parseConfig } from '../services/io/config/config.ts'
import { conditions } from './conditions.ts'
import { type Judged, judge } from './trajectories/judge.ts'
import type { Recorded } from './trajectories/recorded.ts'
import { report } from './trajectories/report.ts'
import { stormsUnder } from './trajectories/storms.ts'

/**
 * `node bench/trajectories.ts [--data <folder>] [--policy <sluice.yaml>] [--json] [--each]`
 *
 * Plays recorded agent runs through the very rules that gateway and enforcer fold, and tells what they would have stopped,
 * when, and what that would have saved. `--data`: a folder of `runs-*.jsonl.gz`, by default `../shared/datasets`;
 * `--policy`: breakers other than the defaults; `--each`: a line for each run that was spoken of. Exit code 1 where a goal
 * is missed, 2 where there is nothing to play.
 */
const { values: flags } = parseArgs({
  options: {
    data: { type: 'string' },
    policy: { type: 'string' },
    json: { type: 'boolean', default: false },
    each: { type: 'boolean', default: false },
  },
})

const folder = flags.data ?? fileURLToPath(new URL('../../shared/datasets', import.meta.url))
const files = existsSync(folder) ? readdirSync(folder).filter(name => /^runs-.*\.jsonl\.gz$/.test(name)) : []
if (files.length === 0) {
  console.error(`trajectories: no runs-*.jsonl.gz in ${folder}; name a folder with --data`)
  process.exit(2)
}

/** Lines are what the folder's README says they are; a field that is not there reads as undefined. */
const runsIn = (file: string): readonly Recorded[] =>
  gunzipSync(readFileSync(join(folder, file)))
    .toString('utf8')
    .split('\n')
    .filter(line => line !== '')
    .map(line => ({ ...(JSON.parse(line) as Recorded), kind: file.slice(5, -'.jsonl.gz'.length) }))

const policy =
  flags.policy === undefined
    ? breakers.parse({})
    : parseConfig(readFileSync(flags.policy, 'utf8'), flags.policy, process.env).breakers

const judged: readonly Judged[] = files.sort().flatMap(file => runsIn(file).map(run => judge(run, policy)))
const { text, goals, figures } = report(judged, conditions(flags.policy ?? 'default policy'), stormsUnder(policy))
if (flags.each)
  for (const { run, stopped, warned } of judged) {
    const first = stopped ?? warned
    if (first === null) continue
    console.log(
      `${run.run_id}\t${run.outcome}\t${run.label}\tstep ${first.toolStep}\t${first.signal.rule} ${first.signal.action}`,
    )
  }
console.log(flags.json ? JSON.stringify(figures, null, 2) : text)
if (goals.some(({ met }) => !met)) process.exitCode = 1
