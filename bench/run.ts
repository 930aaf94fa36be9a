import { parseArgs } from 'node:util'
import { conditions, describe } from './conditions.ts'
import { type Figure, lineOf } from './figures.ts'
import { type Ground, layGround } from './ground.ts'
import { measurements } from './measurements.ts'
import { machineSeconds } from './processes.ts'

/**
 * `npm run bench -- [--quick] [--json] [--only throughput,latency] [--self]`
 *
 * `--self` puts a second bare proxy in the gateway's place: what the harness then finds between two equal programs is
 * noise. Exit code 1 where a measurement could not be taken; a goal that is missed is a result.
 */
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    self: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
})

type Taken = {
  readonly name: string
  readonly figures: readonly Figure[]
  readonly error?: string
  readonly seconds: number
  /** Cores that programs of others kept busy meanwhile: what makes a figure worth less. */
  readonly foreignCores: number
}

const take = async (ground: Ground): Promise<readonly Taken[]> => {
  const taken: Taken[] = []
  for (const { name, needs, run } of measurements) {
    if (only !== undefined && !only.includes(name)) continue
    if (needs === 'stack' && ground.stack === null) continue
    const begun = performance.now()
    const before = machineSeconds()
    const result = await run(ground).then(
      figures => ({ figures }),
      (error: unknown) => ({ figures: [], error: error instanceof Error ? error.message : String(error) }),
    )
    const after = machineSeconds()
    const seconds = (performance.now() - begun) / 1000
    const foreign = (after.all - before.all - (after.ours - before.ours)) / seconds
    const one = { name, ...result, seconds, foreignCores: Math.max(foreign, 0) }
    taken.push(one)
    if (!flags.json) print(one)
  }
  return taken
}

const print = ({ name, figures, error, seconds, foreignCores }: Taken): void => {
  const others = seconds > 1 ? `, others used ${foreignCores.toFixed(1)} of ${around.cores} cores` : ''
  console.log(`\n${name} (${seconds.toFixed(1)} s${others})`)
  for (const figure of figures) console.log(lineOf(figure))
  if (error !== undefined) console.log(`  not measured: ${error}`)
}

const known = measurements.map(({ name }) => name)
const only = flags.only?.split(',')
const strange = only?.find(name => !known.includes(name))
if (strange !== undefined) {
  console.error(`bench: there is no measurement ${strange}; there are ${known.join(', ')}`)
  process.exit(2)
}
const mode = [flags.quick ? 'quick' : 'full', ...(flags.self ? ['bare proxy against itself'] : [])].join(', ')
const around = conditions(mode)
if (!flags.json) console.log(describe(around))

const ground = await layGround({ quick: flags.quick, self: flags.self }).catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.message : error}`)
  process.exit(1)
})
// Ctrl-C must not leave a stack behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void ground.stop().finally(() => process.exit(130)))
try {
  const taken = await take(ground)
  if (flags.json) console.log(JSON.stringify({ conditions: around, measurements: taken }, null, 2))
  if (taken.some(({ error }) => error !== undefined)) process.exitCode = 1
} finally {
  await ground.stop()
}
