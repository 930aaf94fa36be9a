import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadLines, TRAFFIC, trafficAbsent } from '../support/replay.ts'
import { type Stack, startStack } from '../support/stack.ts'
import { until } from '../support/until.ts'
import { broughtBack, conversations, dealt, type RecordedRun } from './alike.ts'
import {
  ask,
  configOf,
  type Exchange,
  newKeys,
  pooled,
  recordedTraffic,
  sendRecorded,
  serveRecordings,
} from './recorded.ts'

/** Recorded agent runs, played without a word about which run a request belongs to. */

type RunRow = {
  readonly run: string
  readonly ids: readonly string[]
  readonly complete: boolean
  readonly agent_run: boolean
}

const protocols = /^(openai|anthropic|gemini|bedrock|cohere)\./
const seed = 20260301
/** On a machine that is busy with other things; nothing waits this long for its own sake. */
const storedMs = 90_000

function agentRuns(): readonly RecordedRun[] {
  const byId = new Map(recordedTraffic().map(exchange => [exchange.id, exchange]))
  return loadLines<RunRow>(join(TRAFFIC, '_runs.jsonl')).flatMap(({ run, ids, complete, agent_run }) => {
    const steps = ids.flatMap(id => byId.get(id) ?? [])
    const whole = steps.length === ids.length && steps.every(step => protocols.test(step.api) && step.body.length > 0)
    return complete && agent_run && whole ? [{ id: run, steps }] : []
  })
}

test('interleaved runs under one key a provider come out as they were, step for step and call for call', {
  skip: trafficAbsent,
}, async t => {
  const found = await play(t, agentRuns(), {})
  assert.deepEqual(found.faults, [])
})

test('with each request at a random one of two gateways no run is mixed with another, and none loses a call', {
  skip: trafficAbsent || (process.platform !== 'linux' && 'one port for several processes needs Linux'),
}, async t => {
  const found = await play(t, agentRuns(), { workers: 2 })
  // What one gateway has not heard of within half a second becomes a run of its own: that may split, never merge.
  assert.deepEqual([found.merged, found.twice, found.missing], [0, 0, 0])
  assert.ok(found.split <= found.runs * 0.05, `${found.split} of ${found.runs} runs split`)
})

test('a gateway that is killed in the middle goes on with every run', {
  skip: trafficAbsent || (process.platform !== 'linux' && 'processes are found by name in /proc'),
}, async t => {
  const runs = shuffled(agentRuns()).slice(0, 60)
  const found = await play(t, runs, { kill: true })
  assert.deepEqual(found.faults, [])
})

type How = { readonly workers?: number; readonly kill?: boolean }
type Tally = {
  readonly runs: number
  readonly split: number
  readonly merged: number
  readonly missing: number
  readonly twice: number
  readonly faults: readonly string[]
}

async function play(t: TestContext, given: readonly RecordedRun[], how: How): Promise<Tally> {
  const hands = [...Map.groupBy(given, run => run.steps[0]?.entry ?? '')].flatMap(([entry, runs]) =>
    dealt(runs).map((hand, i) => ({ agent: i === 0 ? entry : `${entry}-${i}`, further: i > 0, hand })),
  )
  const further = hands.filter(({ further }) => further).reduce((sum, { hand }) => sum + hand.length, 0)
  const keys = newKeys(hands.map(({ agent }) => agent))
  const agentOf = new Map(hands.flatMap(({ agent, hand }) => hand.map(run => [run, agent] as const)))
  const exchanges = given.flatMap(run => run.steps)
  const upstream = await serveRecordings(exchanges)
  const stack = await startStack({
    config: configOf(exchanges, upstream.origin, keys),
    env: { SLUICE_WORKERS: String(how.workers ?? 1) },
  }).catch(async error => {
    await upstream.close()
    throw error
  })
  try {
    const requestOf = new Map<Exchange, string>()
    const turn = (run: RecordedRun, from: number, to: number) => async () => {
      for (const step of run.steps.slice(from, to)) {
        const answer = await sendRecorded(stack.told('Gateway'), step, keys[agentOf.get(run) ?? ''] ?? '')
        assert.equal(answer.status, step.status, `${step.id}: ${answer.text.slice(0, 200)}`)
        requestOf.set(step, String(answer.headers['x-sluice-request-id']))
      }
    }
    const middle = (run: RecordedRun) =>
      how.kill === true ? Math.ceil(run.steps.length / 2) : Number.POSITIVE_INFINITY
    await pooled(shuffled(given), 50, run => turn(run, 0, middle(run))())
    if (how.kill === true) {
      await killGateway(stack)
      await pooled(shuffled(given), 50, run => turn(run, middle(run), Number.POSITIVE_INFINITY)())
    }
    const rows = await stored(stack, exchanges.length)
    const tally = compare(given, requestOf, rows)
    const { runs, right, split, merged, calls, missing, twice, results, faults } = tally
    t.diagnostic(`runs: ${right} of ${runs} right, ${split} split, ${merged} merged; ${exchanges.length} requests`)
    t.diagnostic(
      `tool calls: ${calls - missing} of ${calls} right, ${missing} missing, ${twice} twice; results: ${results}`,
    )
    t.diagnostic(`${further} runs under a further key, for nothing tells them from another; seed ${seed}`)
    for (const fault of faults) t.diagnostic(fault)
    return tally
  } finally {
    await stack.close()
    await upstream.close()
  }
}

async function killGateway(stack: Stack): Promise<void> {
  const gateway = stack.processes().find(({ title }) => title.includes('gateway'))
  assert.ok(gateway)
  process.kill(gateway.pid, 'SIGKILL')
  await until(
    'another gateway',
    async () =>
      stack.processes().some(({ title, pid }) => title.includes('gateway') && pid !== gateway.pid) &&
      (await fetch(`${stack.told('Gateway')}/ready`)).ok,
    storedMs,
    50,
  )
}

type Row = {
  readonly type: string
  readonly request_id: string
  readonly run_id: string
  readonly step: number
  readonly tool: string
  readonly tool_call_id: string
}

/** What the provider ran itself is no call of the agent's; what never came back has no result. */
const rowsQuery = `SELECT type, request_id, run_id, step, tool, tool_call_id FROM events
  WHERE type = 'llm.completed' OR (type IN ('tool.called', 'tool.returned') AND server = '' AND outcome != 'unanswered')
  ORDER BY ts`

/** All requests' endings are there, and so is everything that was written before the last of them. */
async function stored(stack: Stack, requests: number): Promise<readonly Row[]> {
  let rows: readonly Row[] = []
  await until(
    `${requests} requests in ClickHouse`,
    async () => {
      rows = await ask<Row>(stack, rowsQuery)
      return rows.filter(({ type }) => type === 'llm.completed').length >= requests
    },
    storedMs,
    300,
  )
  return rows
}

/** Tools of the provider's own, which it runs before it answers: they have their own kind of rows. */
const ranByProvider = new Set(['nova_code_interpreter'])

function compare(given: readonly RecordedRun[], requestOf: ReadonlyMap<Exchange, string>, rows: readonly Row[]) {
  const byRequest = new Map(rows.filter(({ type }) => type === 'llm.completed').map(row => [row.request_id, row]))
  const rowOf = (step: Exchange): Row | undefined => byRequest.get(requestOf.get(step) ?? '')
  const heldBy = new Map<string, Set<RecordedRun>>()
  for (const run of given)
    for (const step of run.steps) {
      const id = rowOf(step)?.run_id ?? ''
      heldBy.set(id, (heldBy.get(id) ?? new Set()).add(run))
    }
  const sums = { runs: given.length, right: 0, split: 0, merged: 0, calls: 0, missing: 0, twice: 0, results: 0 }
  const faults: string[] = []
  for (const run of given) {
    const wrong: string[] = []
    const ids = new Set(run.steps.map(step => rowOf(step)?.run_id ?? ''))
    if (ids.has('')) wrong.push('a request has no row')
    if ([...ids].some(id => (heldBy.get(id)?.size ?? 0) > 1)) {
      sums.merged++
      wrong.push('merged with another run')
    }
    if (conversations(run.steps).some(group => new Set(group.map(step => rowOf(step)?.run_id)).size > 1)) {
      sums.split++
      wrong.push(`split into ${ids.size}`)
    }
    for (const id of ids) {
      const steps = run.steps.flatMap(step => (rowOf(step)?.run_id === id ? [rowOf(step)?.step] : []))
      if (steps.some((step, i) => step !== i + 1)) wrong.push(`its steps are ${steps}`)
    }
    const mine = rows.filter(row => ids.has(row.run_id))
    const called = mine.filter(({ type }) => type === 'tool.called')
    const expected = run.steps.flatMap(step => step.truth.tool_calls).filter(name => !ranByProvider.has(name))
    const [missing, more] = differenceOf(
      expected,
      called.map(({ tool }) => tool),
    )
    sums.calls += expected.length
    sums.missing += missing.length
    sums.twice += more.length
    if (missing.length > 0) wrong.push(`calls missing: ${missing}`)
    if (more.length > 0) wrong.push(`calls too many: ${more}`)
    const returned = mine.filter(({ type }) => type === 'tool.returned')
    const results = resultsExpected(run, called)
    sums.results += results
    if (returned.length !== results) wrong.push(`${returned.length} results instead of ${results}`)
    if (wrong.length === 0) sums.right++
    else faults.push(`${run.id} (${run.steps[0]?.api}): ${wrong.join('; ')}`)
  }
  return { ...sums, faults }
}

/**
 * Results that came for calls of this run: each call has one, however often it is sent. Where the protocol has no ids a
 * client may make some up; then a result is for a call of its name.
 */
function resultsExpected(run: RecordedRun, called: readonly Row[]): number {
  const brought = run.steps.flatMap((step, i) => broughtBack(step, run.steps.slice(0, i)))
  const ids = new Set(called.map(call => call.tool_call_id).filter(id => id !== ''))
  const byId = new Set(brought.flatMap(({ id }) => (id !== null && ids.has(id) ? [id] : [])))
  const madeUp = new Map(
    brought.flatMap(result => (byId.has(result.id ?? '') ? [] : [[result.id ?? result, result.name ?? '']])),
  )
  const open = called.filter(call => !byId.has(call.tool_call_id)).map(({ tool }) => tool)
  return byId.size + madeUp.size - differenceOf([...madeUp.values()], open)[0].length
}

/** What of `expected` is not in `found`, and what of `found` was not expected; how often counts. */
function differenceOf(expected: readonly string[], found: readonly string[]): readonly [string[], string[]] {
  const more = [...found]
  const missing = expected.filter(one => {
    const at = more.indexOf(one)
    if (at >= 0) more.splice(at, 1)
    return at < 0
  })
  return [missing, more]
}

/** The same order in every run of the suite. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  let state = seed
  const drawn = items.map(item => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return { item, at: state }
  })
  return drawn.sort((a, b) => a.at - b.at).map(({ item }) => item)
}
