import assert from 'node:assert/strict'
import { test } from 'node:test'
import { counter, histogram } from '../../services/gateway/tally.ts'

test('counts are told by label as Prometheus reads them', () => {
  const calls = counter({ name: 'calls_total', help: 'Calls.', labels: ['provider', 'status'] })
  calls.add(1, 'a', 200)
  calls.add(2, 'a', 200)
  calls.add(1, 'a', 500)
  calls.add(1, 'say "b"\\\n', 200)
  assert.equal(
    calls.text(),
    [
      '# HELP calls_total Calls.',
      '# TYPE calls_total counter',
      'calls_total{provider="a",status="200"} 3',
      'calls_total{provider="a",status="500"} 1',
      'calls_total{provider="say \\"b\\"\\\\\\n",status="200"} 1',
      '',
    ].join('\n'),
  )
})

test('a bucket of a histogram counts all that is not above its bound', () => {
  const times = histogram({ name: 'time_seconds', help: 'Time.', labels: ['provider'], bounds: [0.1, 1] })
  for (const value of [0.05, 0.1, 0.5, 7]) times.observe(value, 'a')
  assert.equal(
    times.text(),
    [
      '# HELP time_seconds Time.',
      '# TYPE time_seconds histogram',
      'time_seconds_bucket{provider="a",le="0.1"} 2',
      'time_seconds_bucket{provider="a",le="1"} 3',
      'time_seconds_bucket{provider="a",le="+Inf"} 4',
      'time_seconds_sum{provider="a"} 7.65',
      'time_seconds_count{provider="a"} 4',
      '',
    ].join('\n'),
  )
})
