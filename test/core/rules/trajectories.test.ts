import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf } from '../../../bench/trajectories/events.ts'
import { judge } from '../../../bench/trajectories/judge.ts'
import type { Recorded, RecordedStep } from '../../../bench/trajectories/recorded.ts'
import { report } from '../../../bench/trajectories/report.ts'
import { breakers } from '../../../schemas/breakers.ts'
import { decode, encode } from '../../../schemas/events.ts'
import { times } from './given.ts'

/** Runs as agents do them, told by us: what the default policy makes of them. The command plays recorded ones. */

const policy = breakers.parse({})
const says = (text: string): Omit<RecordedStep, 'i'> => ({ kind: 'llm', text, text_sha: text })
const does = (tool: string, args: string, result: string, error = false): Omit<RecordedStep, 'i'> => ({
  kind: 'tool',
  tool,
  args,
  args_sha: args,
  result,
  result_sha: result,
  error,
})
const run = (steps: readonly Omit<RecordedStep, 'i'>[], more: Partial<Recorded> = {}): Recorded => ({
  kind: 'coding-agents',
  run_id: 'sample',
  source: 'sample',
  outcome: 'success',
  label: 'normal',
  facts: { exact_loop: false, cycle_calls_and_results: null },
  ...more,
  steps: steps.map((step, i) => ({ i, ...step })),
})
const stopOf = (steps: readonly Omit<RecordedStep, 'i'>[]) => judge(run(steps), policy).stopped

const opening = times(9, i => [says(`I look at file ${i}.`), does('read', `{"file":${i}}`, `text ${i}`)]).flat()

test('a coder who edits and tests until it works is not stopped, and not warned of', () => {
  const rounds = times(12, i => [
    says(`I try idea ${i}.`),
    does('edit', `{"file":"a.ts","text":"idea ${i}"}`, `edited a.ts, version ${i}`),
    does('read', '{"file":"a.ts"}', `idea ${i}`),
    does('bash', '{"command":"npm test"}', '1 failed: expected 4, got 5', true),
  ])
  const { stopped, warned } = judge(
    run([...opening, ...rounds.flat(), does('bash', '{"command":"npm test"}', 'ok')]),
    policy,
  )
  assert.equal(stopped, null)
  assert.equal(warned, null)
})

test('a job that is polled until it is done is not stopped, however often and however slowly', () => {
  const polled = times(200, i => [says('Still running, I ask again.'), does('status', '{"job":1}', `${i} of 200 done`)])
  assert.equal(stopOf([...opening, ...polled.flat()]), null)
  // Two jobs in turn, of which one does not move for a while.
  const both = times(30, i => [does('status', '{"job":1}', 'waiting'), does('status', '{"job":2}', `${i} %`)])
  assert.equal(stopOf(both.flat()), null)
})

test('a search that finds nothing in many places is work', () => {
  assert.equal(stopOf(times(40, i => [says(`Maybe ${i}.`), does('find', `{"name":"x${i}"}`, 'no files')]).flat()), null)
})

test('an exact loop of each period is stopped with its fourth round, whatever the model says meanwhile', () => {
  for (let period = 1; period <= 6; period++) {
    const round = (n: number) =>
      times(period, i => [says(`Round ${n}, now ${i}.`), does('open', `{"page":${i}}`, `page ${i}`)]).flat()
    const stopped = stopOf([...opening, ...times(9, round).flat()])
    assert.ok(stopped !== null, `period ${period}`)
    const ended = Math.ceil((stopped.toolStep - 9) / period)
    assert.ok(ended <= 4, `period ${period}: round ${ended}`)
  }
})

test('a loop with a stray step now and then is stopped as well', () => {
  const steps = times(20, i =>
    i % 5 === 4 ? does('note', `{"n":${i}}`, 'noted') : does('get', '{"url":"/a"}', 'same'),
  )
  assert.ok((stopOf(steps)?.toolStep ?? 99) <= 6)
})

test('an orchestrator that asks the same in other words is warned of, and goes on', () => {
  const wish = (how: string) =>
    `${how} the price of a yearly family pass at the harbour museum in Bergen, on its web page.`
  const asked = ['Please find', 'Try again to find', 'Navigate to the site and find', 'Look for'].flatMap((how, i) => [
    says(`Next speaker: surfer (${i})`),
    does('surfer', wish(how), `a page about something else, ${i}`),
  ])
  const { stopped, warned } = judge(run(asked), policy)
  assert.equal(stopped, null)
  assert.deepEqual([warned?.signal.rule, warned?.signal.action], ['nearRepeat', 'alert'])
})

test('what is played are events that the schemas take', () => {
  for (const { event } of eventsOf(run([...opening, does('x', '{}', 'no', true)]))) {
    const read = decode(encode(event, null))
    assert.ok('event' in read, JSON.stringify(read))
  }
})

test('the report counts what was stopped in time, too late and wrongly', () => {
  const looping = { exact_loop: true, cycle_calls_and_results: { period: 1, reps: 9, start: 1 } }
  const loop = run(
    times(9, () => does('get', '{}', 'same')),
    { outcome: 'failure', facts: looping },
  )
  const wrongly = run(times(9, () => does('get', '{}', 'same')))
  const around = {
    date: 'today',
    cpu: '',
    cores: 2,
    memoryGb: 1,
    system: '',
    node: '',
    commit: '',
    loadAverage: 0,
    mode: '',
  }
  const { goals, text } = report([judge(loop, policy), judge(wrongly, policy)], around)
  assert.deepEqual(
    goals.slice(0, 3).map(({ value, met }) => [value, met]),
    [
      ['100 % (1 of 1)', true],
      ['3', true],
      ['1  of 1', false],
    ],
  )
  assert.match(text, /\| coding-agents: sample \| 2 \| 1 \| 1 \| 1 \| 1 \| 1 \| 0 \| 18 \| 10 \| 0 \|/)
})
