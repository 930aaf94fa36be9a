import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { famous, makeFleet } from '../../bench/questions/fleet.ts'
import { readQuestions } from '../../bench/questions/standing.ts'
import { type Opened, openWarehouse, rowsOf } from './opened.ts'

const questions = readQuestions()

describe('the questions of docs/sql.md, asked by an analyst', () => {
  let opened: Opened
  let given: Record<string, unknown>
  before(async () => {
    opened = await openWarehouse()
    await makeFleet(opened.client, { rows: 60_000, days: 1 })
    const [run] = await opened.rows<{ run: string; root: string }>(
      `SELECT run_id AS run, root_run_id AS root FROM runs WHERE parent_run_id != '' ORDER BY last_at DESC LIMIT 1`,
    )
    const [call] = await opened.rows<{ request: string }>(
      `SELECT request_id AS request FROM calls WHERE run_id = {run:String} AND kind = 'llm' LIMIT 1`,
      run,
    )
    const at = (hoursAgo: number) =>
      new Date(Date.now() - hoursAgo * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')
    given = { ...famous, ...run, ...call, from: at(6), to: at(0) }
  })
  after(() => opened?.[Symbol.asyncDispose]())

  const ask = (question: (typeof questions)[number]) =>
    rowsOf<Record<string, unknown>>(
      opened.analyst,
      question.sql,
      Object.fromEntries(question.params.map(name => [name, given[name]])),
    )
  const titled = (title: RegExp) => {
    const question = questions.find(one => title.test(one.title))
    assert.ok(question, `there is a question ${title}`)
    return question
  }

  test('there are all that were promised', () => {
    assert.ok(questions.length >= 20)
    for (const title of [
      /tool calls of an agent in the last hour/,
      /slow tool/,
      /on whose behalf/,
      /whole tree/,
      /burned the budget/,
      /per agent, task and hour/,
    ])
      titled(title)
  })

  for (const question of questions) {
    test(`${question.title}: runs as written and finds something`, async () => {
      for (const name of question.params) assert.notEqual(given[name], undefined, `a value for ${name}`)
      const rows = await ask(question)
      assert.ok(rows.length > 0)
      assert.ok(!JSON.stringify(rows).includes('nan'))
    })
  }

  test('the tool calls of the last hour are those of that agent', async () => {
    const rows = await ask(titled(/tool calls of an agent/))
    const counted = rows.reduce((sum, row) => sum + Number(row['calls']), 0)
    const [truth] = await opened.rows<{ n: number }>(
      `SELECT count() AS n FROM events WHERE type = 'tool.returned' AND agent = 'researcher' AND ts > now() - INTERVAL 1 HOUR`,
    )
    assert.equal(counted, truth?.n)
  })

  test('the tool that is slow and empty is the only one found', async () => {
    assert.deepEqual(
      (await ask(titled(/slow tool/))).map(row => row['tool']),
      ['legacy.search'],
    )
  })

  test('the tree has all runs of the root, and its cost is the sum of their calls', async () => {
    const rows = await ask(titled(/whole tree/))
    const [truth] = await opened.rows<{ runs: number; usd: number }>(
      `SELECT uniqExact(run_id) AS runs, round(sum(cost_nano_usd) / 1e9, 6) AS usd FROM calls WHERE root_run_id = {root:String}`,
      given,
    )
    assert.equal(rows.length, truth?.runs)
    assert.equal(rows[0]?.['tree_usd'], truth?.usd)
    assert.match(String(rows[1]?.['run']), /^ {4}/)
  })

  test('the audit sentence reads', async () => {
    const [row] = await ask(titled(/on whose behalf/))
    assert.match(
      String(row?.['sentence']),
      /^agent researcher under user user-\d+ invoked crm\.lookup on .+ at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC with .+: allowed by rule \S+ version policy-7$/,
    )
  })

  test('the rollup says the same as the calls', async () => {
    const [row] = await opened.rows(
      `SELECT (SELECT sum(cost_nano_usd) FROM calls) = (SELECT sum(cost_nano_usd) FROM spend_by_minute) AS cost, (SELECT count() FROM calls) = (SELECT sum(calls) FROM spend_by_minute) AS calls,
       (SELECT sum(cost_nano_usd) FROM calls) = (SELECT sum(cost_nano_usd) FROM runs) AS runs, (SELECT sum(cost_nano_usd) FROM calls) = (SELECT sum(tree_cost_nano_usd) FROM runs WHERE parent_run_id = '') AS trees`,
    )
    assert.deepEqual(row, { cost: 1, calls: 1, runs: 1, trees: 1 })
  })
})
