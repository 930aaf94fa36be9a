import { appendFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../../services/cli/table.ts'
import { chanceOf, seedOfRun as seed } from '../../test/support/chance.ts'
import { conditions, describe } from '../conditions.ts'
import type { Promised, Shown } from './promise.ts'
import { promises } from './promises.ts'

/**
 * `npm run prove -- [--quick] [--kafka] [--only cap,kill]`
 *
 * Shows the promises on this machine, each against a stack of its own. Exit code 1 where one is broken. `SEED` plays a run
 * again; details are in a file that the last line names.
 */
const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    kafka: { type: 'boolean', default: process.env['KAFKA_BROKERS'] !== undefined },
    only: { type: 'string' },
  },
})

const only = flags.only?.split(',')
const known = promises.map(({ name }) => name)
const strange = only?.find(name => !known.includes(name))
if (strange !== undefined) {
  console.error(`prove: there is no promise ${strange}; there are ${known.join(', ')}`)
  process.exit(2)
}

const details = join(tmpdir(), `sluice-prove-${process.pid}.jsonl`)
writeFileSync(details, '')
const note = (what: string, detail: unknown): void => appendFileSync(details, `${JSON.stringify({ what, detail })}\n`)

/** What is to be undone of the promise that is being tried. */
let undo: (() => unknown)[] = []
const tidy = async (): Promise<void> => {
  const all = undo.toReversed()
  undo = []
  for (const one of all) await Promise.resolve(one()).catch(error => note('could not be undone', String(error)))
}
// Ctrl-C must not leave a stack behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void tidy().finally(() => process.exit(130)))

async function show(promised: Promised): Promise<readonly Shown[]> {
  try {
    return await promised.show({
      quick: flags.quick,
      kafka: flags.kafka,
      chance: chanceOf(seed),
      after: one => void undo.push(one),
      note: (what, detail) => note(`${promised.name}: ${what}`, detail),
    })
  } catch (error) {
    note(promised.name, error instanceof Error ? error.stack : String(error))
    const why = error instanceof Error ? error.message : String(error)
    return [{ done: 'could not be tried', figure: why.split('\n')[0]?.slice(0, 120) ?? '', holds: false }]
  } finally {
    await tidy()
  }
}

// Its third line is about latencies as the bench takes them.
console.log(
  describe(conditions(`${flags.quick ? 'quick' : 'full'}, seed ${seed}`))
    .split('\n', 2)
    .join('\n'),
)
const lines: (readonly [Promised, Shown])[] = []
for (const promised of promises) {
  if (only !== undefined && !only.includes(promised.name)) continue
  console.log(`\n${promised.name}: ${promised.says}`)
  for (const one of await show(promised)) {
    lines.push([promised, one])
    console.log(`  ${sentence(one)}  ${one.done.trim()}: ${one.figure}`)
  }
}

const rows = lines.map(([{ name }, one], i) => [
  lines[i - 1]?.[0].name === name ? '' : name,
  one.done,
  one.figure,
  sentence(one),
])
const broken = lines.filter(([, { holds }]) => holds === false).length
const unshown = lines.filter(([, { holds }]) => holds === null).length
console.log(`\n${table(['PROMISE', 'DONE', 'FIGURE', ''], rows)}`)
console.log(`${lines.length - broken - unshown} hold, ${broken} broken, ${unshown} not shown here. Details: ${details}`)
process.exit(broken > 0 ? 1 : 0)

function sentence({ holds }: Shown): string {
  return holds === null ? 'not shown' : holds ? 'holds' : 'BROKEN'
}
