import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  answered,
  asked,
  changed,
  history,
  llm,
  play,
  refused,
  returned,
  rulesOf,
  spawned,
  times,
  told,
  tool,
} from './given.ts'

const tell = (knobs: Readonly<Record<string, unknown>>, said: Parameters<typeof history>[0], everyMs = 1000) =>
  play(rulesOf(knobs), history(said, everyMs))

test('twenty children within a minute kill the run that spawned them', () => {
  const storm = times(20, i => spawned(`c${i}`, 'r'))
  assert.deepEqual(tell({ spawnStorm: {} }, storm.slice(1)), [])
  const [signal] = tell({ spawnStorm: {} }, storm)
  assert.equal(signal?.scope, 'run:r')
  assert.equal(signal?.run_id, 'r')
  assert.equal(signal?.action, 'kill')
  assert.deepEqual(
    tell(
      { spawnStorm: {} },
      times(100, i => spawned(`c${i}`, 'r')),
      4000,
    ),
    [],
  )
})

test('a child is one, however many gateways have seen it start', () => {
  const again = times(60, i => spawned(`c${i % 15}`, 'r'))
  assert.deepEqual(tell({ spawnStorm: {} }, again, 100), [])
})

test('runs that make two which make two are a storm at their root', () => {
  const tree = times(100, i => {
    const above: string[] = []
    for (let n = i + 1; n > 0; n = (n - 1) >> 1) above.unshift(`n${(n - 1) >> 1}`)
    return spawned(`n${i + 1}`, above.at(-1) ?? '', above)
  })
  const signals = tell({ spawnStorm: {} }, tree, 100)
  assert.deepEqual(told(signals), ['spawnStorm kill run:n0'])
  assert.equal(signals[0]?.data['descendants'], 100)
})

test('a call that failed and is made again unchanged is a retry, and thirty a minute back off', () => {
  const down = times(31, i => llm('q', null, 'r', { latency_ms: i }))
  const [signal] = tell({ retryStorm: {} }, down, 100)
  assert.deepEqual(
    [signal?.rule, signal?.action, signal?.scope, signal?.backoff_ms],
    ['retryStorm', 'backoff', 'agent:a', 30_000],
  )
  // Another question is no retry, whether or not it fails; nor is one that was under way when the other failed.
  assert.deepEqual(
    tell(
      { retryStorm: {} },
      times(60, i => llm(`q${i}`, null)),
    ),
    [],
  )
  const together = [
    times(60, i => asked('r', `q${i}`)),
    times(60, i => answered('q', null, 'r', { request_id: `q${i}` })),
  ]
  assert.deepEqual(tell({ retryStorm: {} }, together, 100), [])
})

test('tries that a gateway makes by itself are retries too', () => {
  const tries = times(15, i => llm(`q${i}`, 'a', 'r', { attempts: 3 }))
  assert.equal(tell({ retryStorm: {} }, tries).length, 1)
})

test('a fleet that retries is one storm where the rule looks at the provider', () => {
  const fleet = times(31, i => [...llm('q', null, `r${i}`), ...llm('q', null, `r${i}`)])
  assert.deepEqual(told(tell({ retryStorm: { scope: 'provider' } }, fleet, 100)), ['retryStorm backoff provider:p'])
})

test('ten denials in a row, each asked after the one before was told, kill the run', () => {
  const denied = times(10, () => refused('budget_exceeded'))
  assert.deepEqual(told(tell({ deniedStreak: {} }, denied)), ['deniedStreak kill run:r'])
  const [signal] = tell({ deniedStreak: {} }, denied)
  assert.deepEqual(signal?.data, { denials: 10, reason: 'budget_exceeded' })
})

test('two hundred calls at once that a cap refuses are one denial', () => {
  const atOnce = times(200, i => refused('budget_exceeded', 'r', { latency_ms: 5 + i * 1000 }))
  assert.deepEqual(tell({ deniedStreak: {} }, atOnce), [])
})

test('whoever is told to come again may come again', () => {
  for (const reason of ['run_paused', 'backoff', 'rate_limited', 'budget_contended', 'overloaded', 'run_killed'])
    assert.deepEqual(
      tell(
        { deniedStreak: {} },
        times(50, () => refused(reason)),
      ),
      [],
      reason,
    )
})

test('a tool that is denied again and again is not excused by a model that is not', () => {
  const round = () => [...llm('q', 'a'), refused('tool_not_allowed', 'r', { operation: 'execute_tool' })]
  assert.equal(tell({ deniedStreak: {} }, times(10, round)).length, 1)
  assert.deepEqual(
    tell(
      { deniedStreak: {} },
      times(40, () => [...llm('q', 'a'), refused('model_not_allowed')]),
    ),
    [],
  )
  const blocked = returned('w', '{}', null, 'r', { outcome: 'blocked', reason: 'tool_not_allowed' })
  assert.equal(
    tell(
      { deniedStreak: {} },
      times(10, () => blocked),
    ).length,
    1,
  )
})

test('dollars and tokens per window have limits of their own', () => {
  const spend = times(11, i => llm(`q${i}`, 'a', 'r', { cost_nano_usd: 100_000_000 }))
  const [signal] = tell({ velocity: { usd: 1 } }, spend)
  assert.deepEqual([signal?.rule, signal?.data['nano_usd']], ['velocity', 1_100_000_000])
  assert.equal(signal?.cost_nano_usd, 1_100_000_000)
  assert.equal(tell({ velocity: { tokens: 1000 } }, spend).length, 1)
  assert.deepEqual(tell({ velocity: { usd: 1 } }, spend, 60_000), [])
  assert.deepEqual(tell({ velocity: {} }, spend), [])
})

test('a rate of errors speaks once, and again only after it had been far lower', () => {
  const mixed = (share: number, n: number) => times(n, i => (i % 10 < share * 10 ? llm('q', null) : llm('q', 'a')))
  assert.deepEqual(told(tell({ errorRate: {} }, [...mixed(0.6, 40)])), ['errorRate alert agent:a'])
  assert.equal(tell({ errorRate: {} }, [...mixed(0.6, 40), ...mixed(0.4, 40), ...mixed(0.6, 40)]).length, 1)
  assert.equal(tell({ errorRate: {} }, [...mixed(0.6, 40), ...mixed(0, 300), ...mixed(0.9, 300)]).length, 2)
  assert.deepEqual(tell({ errorRate: {} }, mixed(1, 19)), [])
})

test('latency that lasts backs off from the provider; of a stream its first token counts', () => {
  const slow = times(20, () => llm('q', 'a', 'r', { latency_ms: 40_000 }))
  const [signal] = tell({ latency: {} }, slow)
  assert.deepEqual([signal?.action, signal?.scope, signal?.data['slow']], ['backoff', 'provider:p', 20])
  assert.deepEqual(
    tell(
      { latency: {} },
      times(99, () => llm('q', 'a', 'r', { latency_ms: 90_000, ttft_ms: 300 })),
    ),
    [],
  )
  // One slow call in twenty is not above the percentile.
  assert.deepEqual(
    tell(
      { latency: {} },
      times(80, i => llm('q', 'a', 'r', { latency_ms: i % 20 === 19 ? 40_000 : 5 })),
    ),
    [],
  )
})

test('the same result in a row is told of, whatever was asked; together is once', () => {
  const lost = times(6, i => tool('find', `${i}`, 'nothing found'))
  assert.deepEqual(told(tell({ noProgress: {} }, lost)), ['noProgress alert run:r'])
  assert.deepEqual(tell({ noProgress: {} }, [...lost.slice(1), changed('run.resumed'), ...lost.slice(1)]), [])
})
