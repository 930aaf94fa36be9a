import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseAgentKey } from '../../schemas/agent-key.ts'
import { parseDuration, spanMs } from '../../schemas/duration.ts'
import { mayUse } from '../../services/core/access/access.ts'
import { matches } from '../../services/core/access/glob.ts'
import { listedKeys } from '../../services/core/access/keys.ts'
import { nearest } from '../../services/io/config/nearest.ts'
import { hashOfKey } from '../../services/io/keys/keys.ts'
import { mintAgentKey } from '../../services/io/keys/mint.ts'

const spans: readonly (readonly [string, number])[] = [
  ['30h', 108_000_000],
  ['7d', 604_800_000],
  ['5m', 300_000],
  ['1d', 86_400_000],
  ['1h30m', 5_400_000],
  ['250ms', 250],
  ['2w', 1_209_600_000],
  ['PT5M', 300_000],
  ['P1D', 86_400_000],
  ['P1W', 604_800_000],
  ['P1DT12H', 129_600_000],
]
for (const [text, ms] of spans) test(`${text} is ${ms} ms`, () => assert.equal(spanMs(parseDuration(text)!), ms))

test('a month has no length of its own', () => {
  for (const text of ['1mo', 'P1M', 'P1Y']) assert.equal(spanMs(parseDuration(text)!), null)
  assert.equal(parseDuration('P1Y')?.months, 12)
})

test('what is no duration is none', () => {
  for (const text of [
    '',
    'P',
    'PT',
    '5',
    'm5',
    '5 m',
    '-1d',
    '0s',
    '1.5h',
    '30m1h',
    '1000y',
    '99999999999d',
    'P1H',
    '1d ',
  ])
    assert.equal(parseDuration(text), null, text)
})

const globs: readonly (readonly [string, string, boolean])[] = [
  ['gpt-4o*', 'gpt-4o-mini', true],
  ['gpt-4o*', 'gpt-4o', true],
  ['gpt-4o', 'gpt-4o-mini', false],
  ['*', '', true],
  ['a*a', 'a', false],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['*mini', 'gpt-4o-mini', true],
  ['gpt.4', 'gptx4', false],
  ['ab*ba', 'aba', false],
]
for (const [pattern, text, fits] of globs)
  test(`${pattern} ${fits ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () =>
    assert.equal(matches(pattern, text), fits))

test('a glob matches what the same regular expression matches', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
  fc.assert(
    fc.property(letters, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 }), (pattern, text) => {
      const expression = new RegExp(`^${pattern.split('*').join('.*')}$`)
      assert.equal(matches(pattern, text), expression.test(text))
    }),
  )
})

test('no pattern makes a match slow', () => {
  const started = performance.now()
  assert.equal(matches(`${'a*'.repeat(90)}b`, 'a'.repeat(100_000)), false)
  assert.ok(performance.now() - started < 200)
})

test('deny wins, and once allow is there the rest is denied', () => {
  assert.equal(mayUse({ deny: [] }, 'm'), true)
  assert.equal(mayUse({ deny: ['m*'] }, 'mm'), false)
  assert.equal(mayUse({ allow: ['m*'], deny: [] }, 'n'), false)
  assert.equal(mayUse({ allow: ['m*'], deny: ['mm'] }, 'mm'), false)
  assert.equal(mayUse({ allow: [], deny: [] }, 'm'), false)
})

test('a key that is made can be read, and is found under its agent by its hash alone', () => {
  const key = mintAgentKey()
  assert.match(parseAgentKey(key)?.id ?? '', /^[0-9a-f]{12}$/)
  const view = listedKeys(new Map([['a', { keys: [`sha256:${hashOfKey(key)}`] }]]))
  assert.equal(view.find(hashOfKey(key))?.agent, 'a')
  assert.equal(view.find(hashOfKey('other')), undefined)
  for (const none of ['', 'slk_', 'slk_a_b', 'sk-abc', `${key} `, `x${key}`])
    assert.equal(parseAgentKey(none), null, none)
})

test('the nearest name is found for a slip of the finger and for nothing else', () => {
  assert.equal(nearest('budgts', ['budgets', 'keys']), 'budgets')
  assert.equal(nearest('agnet', ['agents', 'team']), 'agents')
  assert.equal(nearest('wholly', ['budgets', 'keys']), null)
})
