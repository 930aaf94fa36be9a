import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isRunId, told } from '../../services/core/conversation/lineage.ts'

const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

test('the strongest word on the run counts', () => {
  const all = {
    'x-sluice-run-id': 'mine',
    baggage: 'other=1, sluice.run.id=carried%201;p=1',
    'x-litellm-trace-id': 'peer',
    traceparent: trace,
  }
  assert.deepEqual(told(all).claim, { runId: 'mine', source: 'header' })
  assert.deepEqual(told({ ...all, 'x-sluice-run-id': 'has space' }).claim?.source, 'peer-header') // so has the baggage's value
  assert.deepEqual(told({ baggage: 'sluice.run.id=carried' }).claim, { runId: 'carried', source: 'baggage' })
  assert.deepEqual(told({ 'helicone-session-id': 'h' }).claim, { runId: 'h', source: 'peer-header' })
  assert.deepEqual(told({ traceparent: trace }).claim, {
    runId: '4bf92f3577b34da6a3ce929d0e0e4736',
    source: 'traceparent',
  })
  assert.equal(told({}).claim, null)
})

test('a traceparent that is none starts no run', () => {
  for (const bad of [
    '',
    'x',
    `ff${trace.slice(2)}`,
    `${trace}-extra`,
    trace.replace(/4bf9\w+/, '0'.repeat(32)),
    trace.toUpperCase(),
  ])
    assert.equal(told({ traceparent: bad }).claim, null, bad)
  assert.equal(told({ traceparent: `01${trace.slice(2)}-later` }).traceId, '4bf92f3577b34da6a3ce929d0e0e4736')
})

test('labels are read as texts and bounded, and never throw', () => {
  assert.deepEqual(told({ 'x-sluice-labels': '{"env":"prod","n":3,"deep":{}}' }).labels, { env: 'prod', n: '3' })
  assert.equal(told({ 'x-sluice-labels': '[1]' }).labels, null)
  assert.equal(told({ 'x-sluice-labels': '{' }).labels, null)
  const polluted = told({ 'x-sluice-labels': '{"__proto__":"x"}' }).labels
  assert.equal(Object.getPrototypeOf(polluted), Object.prototype)
})

test('no header text makes the reading throw, and no run id has what a key or a log line must not', () => {
  const names = ['x-sluice-run-id', 'baggage', 'traceparent', 'x-sluice-labels', 'x-sluice-task', 'x-portkey-trace-id']
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...names), fc.string({ maxLength: 300, unit: 'binary' })), headers => {
      const { claim } = told(headers)
      assert.ok(claim === null || isRunId(claim.runId))
    }),
  )
})
