import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { stringify } from 'yaml'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'
import { agents } from './agents.ts'

/** One tool after the other, and two tools at once: what the simulator is asked to call. */
const inTurn =
  'Plan it. [[tool=get_weather args={"city":"Oslo"}]] [[then tool=find_hotel args={"city":"Oslo"}]] [[then tool=book_hotel args={"hotel":"Grand Oslo","nights":2}]]'
const atOnce =
  'Go there. [[tool=get_weather args={"city":"Rome"}]] [[tool=find_hotel args={"city":"Rome"}]] [[then tool=book_hotel args={"hotel":"Grand Rome","nights":3}]]'

/** What an agent's calls say of it: one row for each run. */
type RunRow = {
  readonly run_id: string
  readonly steps: readonly number[]
  readonly sources: readonly string[]
  readonly tools: readonly string[]
  readonly unpriced: number
}
const runsOf = `SELECT run_id, arraySort(groupArrayIf(step, kind = 'llm')) AS steps,
    arraySort(groupUniqArrayIf(run_source, kind = 'llm')) AS sources,
    arraySort(groupArrayIf(concat(tool, ' ', outcome), kind = 'tool')) AS tools,
    countIf(kind = 'llm' AND (cost_nano_usd IS NULL OR cost_nano_usd = 0)) AS unpriced
  FROM calls WHERE agent = {agent:String} GROUP BY run_id ORDER BY length(steps) DESC`

describe('agents of others, with nothing but an address and a key', () => {
  let stack: Stack
  const keys = new Map(agents.map(agent => [agent, mintAgentKey()]))
  before(async () => {
    const config = {
      agents: Object.fromEntries(
        [...keys].map(([{ name }, key]) => [name, { keys: [`sha256:${hashOfKey(key)}`] }] as const),
      ),
    }
    stack = await startStack({ config: stringify(config) })
  })
  after(() => stack.close())

  for (const agent of agents)
    test(`${agent.name}: each of two tasks under one key is one run, and its tree can be read`, async () => {
      const door = { url: stack.told('Gateway'), key: keys.get(agent) ?? '' }
      const said = await Promise.all([agent.whole(door, inTurn), agent.streamed(door, atOnce)])
      assert.match(said[0], /Grand Oslo for 2 nights/)
      assert.match(said[1], /Grand Rome for 3 nights/)

      // The last row that comes is an answer's; all before it were written no later.
      let rows: readonly RunRow[] = []
      await until('all rows', async () => {
        const { stdout } = await stack.cli('sql', '--json', '--param', `agent=${agent.name}`, runsOf)
        rows = JSON.parse(stdout)
        return rows.reduce((sum, run) => sum + run.steps.length, 0) === 7
      })
      const tools = ['book_hotel success', 'find_hotel success', 'get_weather success']
      assert.deepEqual(
        rows.map(({ steps, tools }) => ({ steps, tools })),
        [
          { steps: [1, 2, 3, 4], tools },
          { steps: [1, 2, 3], tools },
        ],
      )
      for (const { sources, unpriced } of rows) {
        assert.deepEqual(sources, ['conversation', 'new'], 'nothing but the conversation says what it belongs to')
        assert.equal(unpriced, 0)
      }
      const trees = await Promise.all(rows.map(({ run_id }) => stack.cli('run', 'show', run_id)))
      checkGolden(agent.name, trees.map(({ stdout }) => shown(stdout)).join('\n'))
    })
})

/** Without what is another one each time: ids and times. */
const shown = (tree: string): string =>
  tree.replace(/^run \S+/gm, 'run <run>').replace(/\b\d+ min \d+ s\b|\b\d+(?:\.\d+)? m?s\b/g, '<time>')

/** Compares with the file; `SLUICE_TEST_GOLDEN=write` writes it anew, for a person to look at. */
function checkGolden(name: string, text: string): void {
  const file = path.join(import.meta.dirname, `../golden/run-${name}.txt`)
  if (process.env['SLUICE_TEST_GOLDEN'] === 'write') fs.writeFileSync(file, text)
  assert.equal(text, fs.readFileSync(file, 'utf8'))
}
